"""Gaussians in space: cameras, a rasterizer with its gradient, reconstruction, refinement, file formats.

Pure functions on arrays. Frame of a scene and of a camera: x right, y down, z forward (that of a .ply of 3D Gaussian
splatting); lengths in the unit of the cameras' positions. What needs more than NumPy and OpenCV comes with the extra
``splat``.
"""
