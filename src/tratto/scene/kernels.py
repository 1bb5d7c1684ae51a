"""The rasterizer's compiled loops. Pictures are cut into tiles of 16 pixels; a Gaussian visits its tiles front to back.

Projection, opacity-aware boxes and the order of blending are those of Kerbl et al. 2023, "3D Gaussian Splatting for
Real-Time Radiance Field Rendering", as gsplat (Ye et al. 2024) states them. Loops run over *flattened* tiles: a tile's
256 pixels are contiguous, so the rows that a Gaussian touches are one stretch, and pixels that it misses in them cost
less than a second loop would. Indices are unsigned: a signed one would be checked for wrapping round, which keeps LLVM
from vectorising.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

from tratto.scene.compiled import FAST

TILE = 16
PIXELS = TILE * TILE
#: Gaussians that one thread takes at a time; what it needs besides is made once for all of them.
CHUNK = 256
#: Columns of what projection leaves of each Gaussian.
MX, MY, CA, CB, CC, OPACITY, RED, GREEN, BLUE, DEPTH = range(10)
#: Columns of what a tile adds to a Gaussian's gradient: colour, depth, and moments of the exponent's gradient.
SLOT = 10
#: Positions in the array of constants.
ALPHA_MIN, ALPHA_MAX, T_MIN, LOWEST = range(4)
_POLYNOMIAL = 4
#: exp(x / 8) for x in [-5.6, 0], about -0.35: Taylor's coefficients, highest first; the eighth power follows.
_CENTER = -0.35
_TAYLOR = [math.exp(_CENTER) / math.factorial(k) for k in range(8, -1, -1)]


def constants(alpha_min: float, alpha_max: float, transmittance_min: float, dtype: Any) -> np.ndarray:
    """Return what the loops over pixels need, as numbers of their type: a literal would make them 64 bits wide."""
    head = [alpha_min, alpha_max, transmittance_min, math.log(alpha_min) - 0.05]
    return np.array([*head, *_TAYLOR, 0.125, -_CENTER, 0.5, 1.0, 0.0], dtype)


def _exp(x: Any, k: Any) -> Any:
    raise NotImplementedError  # compiled only


@overload(_exp, inline="always")
def _exp_of_type(x: Any, k: Any) -> Any:
    if x == types.float32:

        def polynomial(x: Any, k: Any) -> Any:
            u = x * k[13] + k[14]
            v = k[4] * u + k[5]
            v = v * u + k[6]
            v = v * u + k[7]
            v = v * u + k[8]
            v = v * u + k[9]
            v = v * u + k[10]
            v = v * u + k[11]
            v = v * u + k[12]
            v = v * v
            v = v * v
            return v * v

        return polynomial

    def library(x: Any, k: Any) -> Any:
        return math.exp(x)

    return library


@njit(**FAST)
def _rotation(q: Any, r: Any) -> Any:
    """Write the rotation of a quaternion w x y z into r (3, 3); return 1 / its length."""
    norm = 1.0 / max(1e-12, math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]))
    w, x, y, z = q[0] * norm, q[1] * norm, q[2] * norm, q[3] * norm
    r[0, 0], r[0, 1], r[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    r[1, 0], r[1, 1], r[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    r[2, 0], r[2, 1], r[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return norm


@njit(**FAST)
def _harmonics(count: int, x: float, y: float, z: float, b: Any) -> None:
    """Write the first ``count`` real spherical harmonics of a direction into b (16)."""
    b[0] = 0.28209479177387814
    if count > 1:
        b[1], b[2], b[3] = -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x
    if count > 4:
        b[4], b[5] = 1.0925484305920792 * x * y, -1.0925484305920792 * y * z
        b[6] = 0.31539156525252005 * (2 * z * z - x * x - y * y)
        b[7], b[8] = -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)
    if count > 9:
        b[9] = -0.5900435899266435 * y * (3 * x * x - y * y)
        b[10] = 2.890611442640554 * x * y * z
        b[11] = -0.4570457994644658 * y * (4 * z * z - x * x - y * y)
        b[12] = 0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y)
        b[13] = -0.4570457994644658 * x * (4 * z * z - x * x - y * y)
        b[14] = 1.445305721320277 * z * (x * x - y * y)
        b[15] = -0.5900435899266435 * x * (x * x - 3 * y * y)


@njit(**FAST)
def _harmonics_slope(count: int, x: float, y: float, z: float, d: Any) -> None:
    """Write the gradients of the harmonics to the direction into d (16, 3); those of degree 0 are 0."""
    for j in range(3):
        d[0, j] = 0.0
    if count > 1:
        c = 0.4886025119029199
        d[1, 0], d[1, 1], d[1, 2] = 0.0, -c, 0.0
        d[2, 0], d[2, 1], d[2, 2] = 0.0, 0.0, c
        d[3, 0], d[3, 1], d[3, 2] = -c, 0.0, 0.0
    if count > 4:
        c, e, f = 1.0925484305920792, 0.31539156525252005, 0.5462742152960396
        d[4, 0], d[4, 1], d[4, 2] = c * y, c * x, 0.0
        d[5, 0], d[5, 1], d[5, 2] = 0.0, -c * z, -c * y
        d[6, 0], d[6, 1], d[6, 2] = -2 * e * x, -2 * e * y, 4 * e * z
        d[7, 0], d[7, 1], d[7, 2] = -c * z, 0.0, -c * x
        d[8, 0], d[8, 1], d[8, 2] = 2 * f * x, -2 * f * y, 0.0
    if count > 9:
        a, b, c = -0.5900435899266435, 2.890611442640554, -0.4570457994644658
        e, f = 0.3731763325901154, 1.445305721320277
        d[9, 0], d[9, 1], d[9, 2] = a * 6 * x * y, a * (3 * x * x - 3 * y * y), 0.0
        d[10, 0], d[10, 1], d[10, 2] = b * y * z, b * x * z, b * x * y
        d[11, 0], d[11, 1], d[11, 2] = c * -2 * x * y, c * (4 * z * z - x * x - 3 * y * y), c * 8 * y * z
        d[12, 0], d[12, 1], d[12, 2] = e * -6 * x * z, e * -6 * y * z, e * (6 * z * z - 3 * x * x - 3 * y * y)
        d[13, 0], d[13, 1], d[13, 2] = c * (4 * z * z - 3 * x * x - y * y), c * -2 * x * y, c * 8 * x * z
        d[14, 0], d[14, 1], d[14, 2] = f * 2 * x * z, f * -2 * y * z, f * (x * x - y * y)
        d[15, 0], d[15, 1], d[15, 2] = a * (3 * x * x - 3 * y * y), a * -6 * x * y, 0.0


@njit(**FAST)
def _clamped(slope: float, low: float, high: float) -> float:
    return min(high, max(-low, slope))


@njit(parallel=True, **FAST)
def project(
    means: Any, quats: Any, scales: Any, logits: Any, sh: Any, view: Any, lens: Any, size: Any, out: Any, box: Any
) -> None:
    """Project every Gaussian.

    Parameters
    ----------
    means (N, 3), quats (N, 4) w x y z, scales (N, 3) natural logarithms, logits (N,), sh (N, K, 3)
        As a scene keeps them; all of one floating-point type.
    view : (12,) float64
        World to camera, row by row: rotation and translation of each row.
    lens : (7,) float64
        fx, fy, cx, cy, near, dilation, alpha_min.
    size : (2,) int64
        Width and height.
    out : (N, 10)
        Written: see ``MX`` to ``DEPTH``.
    box : (N, 4) int32
        Written: first and last column and row of pixels, the last not included; empty where it is not seen.
    """
    fx, fy, cx, cy, near, dilation, alpha_min = lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6]
    width, height = size[0], size[1]
    spare_x, spare_y = 0.15 * width / fx, 0.15 * height / fy
    low_x, high_x = cx / fx + spare_x, (width - cx) / fx + spare_x
    low_y, high_y = cy / fy + spare_y, (height - cy) / fy + spare_y
    ex = -(view[0] * view[3] + view[4] * view[7] + view[8] * view[11])
    ey = -(view[1] * view[3] + view[5] * view[7] + view[9] * view[11])
    ez = -(view[2] * view[3] + view[6] * view[7] + view[10] * view[11])
    count = sh.shape[1]
    for chunk in prange((means.shape[0] + CHUNK - 1) // CHUNK):
        r, q, basis = np.empty((3, 3)), np.empty(4), np.empty(16)
        for g in range(chunk * CHUNK, min(means.shape[0], (chunk + 1) * CHUNK)):
            box[g, 0] = box[g, 1] = box[g, 2] = box[g, 3] = 0
            px, py, pz = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
            x = view[0] * px + view[1] * py + view[2] * pz + view[3]
            y = view[4] * px + view[5] * py + view[6] * pz + view[7]
            z = view[8] * px + view[9] * py + view[10] * pz + view[11]
            opacity = 1.0 / (1.0 + math.exp(-np.float64(logits[g])))
            if not (z > near and opacity > alpha_min):
                continue
            for j in range(4):
                q[j] = quats[g, j]
            _rotation(q, r)
            iz = 1.0 / z
            tx, ty = z * _clamped(x * iz, low_x, high_x), z * _clamped(y * iz, low_y, high_y)
            j00, j02, j11, j12 = fx * iz, -fx * tx * iz * iz, fy * iz, -fy * ty * iz * iz
            a = b = c = 0.0
            for j in range(3):
                s = math.exp(np.float64(scales[g, j]))
                q0 = (view[0] * r[0, j] + view[1] * r[1, j] + view[2] * r[2, j]) * s
                q1 = (view[4] * r[0, j] + view[5] * r[1, j] + view[6] * r[2, j]) * s
                q2 = (view[8] * r[0, j] + view[9] * r[1, j] + view[10] * r[2, j]) * s
                p0, p1 = j00 * q0 + j02 * q2, j11 * q1 + j12 * q2
                a, b, c = a + p0 * p0, b + p0 * p1, c + p1 * p1
            a, c = a + dilation, c + dilation
            det = a * c - b * b
            if not det > 0:
                continue
            reach = 2.0 * math.log(opacity / alpha_min)  # of the squared distance where alpha is just alpha_min
            mx, my = fx * x * iz + cx, fy * y * iz + cy
            wide, tall = math.sqrt(reach * a) + 1e-3, math.sqrt(reach * c) + 1e-3
            if not (wide < 1e9 and tall < 1e9 and abs(mx) < 1e9 and abs(my) < 1e9):
                continue
            x0, x1 = max(0, np.int64(math.ceil(mx - wide - 0.5))), min(width, np.int64(math.floor(mx + wide - 0.5)) + 1)
            y0, y1 = (
                max(0, np.int64(math.ceil(my - tall - 0.5))),
                min(height, np.int64(math.floor(my + tall - 0.5)) + 1),
            )
            if x0 >= x1 or y0 >= y1:
                continue
            box[g, 0], box[g, 1], box[g, 2], box[g, 3] = x0, x1, y0, y1
            dx, dy, dz = px - ex, py - ey, pz - ez
            near_by = 1.0 / max(1e-12, math.sqrt(dx * dx + dy * dy + dz * dz))
            _harmonics(count, dx * near_by, dy * near_by, dz * near_by, basis)
            for ch in range(3):
                color = 0.5
                for j in range(count):
                    color += basis[j] * sh[g, j, ch]
                out[g, RED + ch] = max(0.0, color)
            out[g, MX], out[g, MY], out[g, DEPTH], out[g, OPACITY] = mx, my, z, opacity
            out[g, CA], out[g, CB], out[g, CC] = c / det, -b / det, a / det


@njit(**FAST)
def bin_tiles(order: Any, box: Any, columns: int, rows: int) -> Any:
    """Return which Gaussians each tile has, front to back.

    Parameters
    ----------
    order : (M,) int64
        Gaussians that are seen, nearest first.
    box : (N, 4) int32
        Of :func:`project`.
    columns, rows : int
        Of tiles.

    Returns
    -------
    starts : (tiles + 1,) int64
        Where each tile's stretch begins in the next two.
    which : (P,) int32
        Gaussians.
    slot : (P,) int32
        Where the tile writes what it adds to that Gaussian: a Gaussian's slots are contiguous.
    first : (M + 1,) int64
        Where those of each Gaussian in ``order`` begin.
    """
    starts = np.zeros(columns * rows + 1, np.int64)
    first = np.zeros(len(order) + 1, np.int64)
    for k in range(len(order)):
        g = order[k]
        n = 0
        for ty in range(box[g, 2] // TILE, (box[g, 3] - 1) // TILE + 1):
            for tx in range(box[g, 0] // TILE, (box[g, 1] - 1) // TILE + 1):
                starts[ty * columns + tx + 1] += 1
                n += 1
        first[k + 1] = first[k] + n
    for tile in range(columns * rows):
        starts[tile + 1] += starts[tile]
    which = np.empty(first[-1], np.int32)
    slot = np.empty(first[-1], np.int32)
    at = starts[:-1].copy()
    for k in range(len(order)):
        g = order[k]
        n = first[k]
        for ty in range(box[g, 2] // TILE, (box[g, 3] - 1) // TILE + 1):
            for tx in range(box[g, 0] // TILE, (box[g, 1] - 1) // TILE + 1):
                tile = ty * columns + tx
                which[at[tile]] = g
                slot[at[tile]] = n
                at[tile] += 1
                n += 1
    return starts, which, slot, first


@njit(**FAST)
def _grid(dtype_of: Any) -> Any:
    """Return the centres of a tile's pixels, x and y, flattened, in the type of an array."""
    x = np.empty(PIXELS, dtype_of.dtype)
    y = np.empty(PIXELS, dtype_of.dtype)
    for i in range(PIXELS):
        x[i], y[i] = i % TILE + 0.5, i // TILE + 0.5
    return x, y


@njit(parallel=True, **FAST)
def blend(starts: Any, which: Any, box: Any, seen: Any, k: Any, image: Any, left: Any, last: Any) -> None:
    """Blend all tiles.

    Parameters
    ----------
    starts, which
        Of :func:`bin_tiles`.
    box : (N, 4) int32
        Of :func:`project`.
    seen : (N, 10)
        Of :func:`project`.
    k : (18,)
        Of :func:`constants`.
    image : (H, W, 4)
        Written: red, green, blue, depth, each weighted by what is seen of it.
    left : (H, W)
        Written: transmittance behind everything.
    last : (tiles,) int64
        Written: where in ``which`` each tile stopped.
    """
    height, width = left.shape
    columns = (width + TILE - 1) // TILE
    for tile in prange(len(starts) - 1):
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        gx, gy = _grid(k)
        t = np.empty(PIXELS, k.dtype)
        red, green, blue = np.empty(PIXELS, k.dtype), np.empty(PIXELS, k.dtype), np.empty(PIXELS, k.dtype)
        far = np.empty(PIXELS, k.dtype)
        half, one, zero = k[15], k[16], k[17]
        for i in range(np.uint64(PIXELS)):
            t[i] = one
            red[i] = green[i] = blue[i] = far[i] = zero
        low, highest, t_min, lowest = k[ALPHA_MIN], k[ALPHA_MAX], k[T_MIN], k[LOWEST]
        stop = starts[tile + 1]
        for n in range(starts[tile], starts[tile + 1]):
            g = which[n]
            ca, cb, cc, o = half * seen[g, CA], seen[g, CB], half * seen[g, CC], seen[g, OPACITY]
            mx, my = k.dtype.type(seen[g, MX] - x0), k.dtype.type(seen[g, MY] - y0)
            r_, g_, b_, z_ = seen[g, RED], seen[g, GREEN], seen[g, BLUE], seen[g, DEPTH]
            begin = np.uint64(max(0, box[g, 2] - y0) * TILE)
            end = np.uint64(min(TILE, box[g, 3] - y0) * TILE)
            for i in range(begin, end):
                dx, dy = mx - gx[i], my - gy[i]
                power = -(ca * dx * dx + cc * dy * dy + cb * dx * dy)
                alpha = o * _exp(min(max(power, lowest), zero), k)
                alpha = min(alpha, highest)
                alpha = alpha if alpha >= low else zero
                alpha = alpha if power <= zero else zero
                before = t[i]
                after = before * (one - alpha)
                # a pixel that is full keeps what it let through, with a minus sign: nothing passes the test again
                full = after <= t_min
                w = zero if full else before * alpha
                t[i] = -abs(before) if full else after
                red[i] += w * r_
                green[i] += w * g_
                blue[i] += w * b_
                far[i] += w * z_
            if (n - starts[tile]) % 8 == 7:
                most = zero
                for i in range(np.uint64(PIXELS)):
                    most = max(most, t[i])
                if most <= zero:
                    stop = n + 1
                    break
        last[tile] = stop
        for y in range(y0, min(height, y0 + TILE)):
            for x in range(x0, min(width, x0 + TILE)):
                i = (y - y0) * TILE + x - x0
                image[y, x, 0], image[y, x, 1], image[y, x, 2], image[y, x, 3] = red[i], green[i], blue[i], far[i]
                left[y, x] = abs(t[i])


@njit(parallel=True, **FAST)
def blend_back(
    starts: Any, which: Any, slot: Any, last: Any, box: Any, seen: Any, k: Any, gradient: Any, remaining: Any,
    slots: Any,
) -> None:  # fmt: skip
    """Replay the blending front to back and write what each tile adds to its Gaussians' gradients.

    Parameters
    ----------
    gradient : (H, W, 4)
        Of the loss to red, green, blue and depth.
    remaining : (H, W)
        Gradient times what is seen behind the nearest Gaussian and all others, background and alpha included.
    slots : (P, 10)
        Written; zero where a tile was full before.
    """
    height, width = remaining.shape
    columns = (width + TILE - 1) // TILE
    for tile in prange(len(starts) - 1):
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        gx, gy = _grid(k)
        t, rest = np.empty(PIXELS, k.dtype), np.empty(PIXELS, k.dtype)
        gr, gg, gb = np.empty(PIXELS, k.dtype), np.empty(PIXELS, k.dtype), np.empty(PIXELS, k.dtype)
        gz = np.empty(PIXELS, k.dtype)
        half, one, zero = k[15], k[16], k[17]
        for i in range(np.uint64(PIXELS)):
            t[i] = one
            rest[i] = gr[i] = gg[i] = gb[i] = gz[i] = zero
        for y in range(y0, min(height, y0 + TILE)):
            for x in range(x0, min(width, x0 + TILE)):
                i = (y - y0) * TILE + x - x0
                gr[i], gg[i], gb[i], gz[i] = gradient[y, x, 0], gradient[y, x, 1], gradient[y, x, 2], gradient[y, x, 3]
                rest[i] = remaining[y, x]
        low, highest, t_min, lowest = k[ALPHA_MIN], k[ALPHA_MAX], k[T_MIN], k[LOWEST]
        for n in range(starts[tile], last[tile]):
            g = which[n]
            ca, cb, cc, o = half * seen[g, CA], seen[g, CB], half * seen[g, CC], seen[g, OPACITY]
            mx, my = k.dtype.type(seen[g, MX] - x0), k.dtype.type(seen[g, MY] - y0)
            r_, g_, b_, z_ = seen[g, RED], seen[g, GREEN], seen[g, BLUE], seen[g, DEPTH]
            begin = np.uint64(max(0, box[g, 2] - y0) * TILE)
            end = np.uint64(min(TILE, box[g, 3] - y0) * TILE)
            sr = sg = sb = sz = s0 = sx = sy = sxx = sxy = syy = zero
            for i in range(begin, end):
                dx, dy = mx - gx[i], my - gy[i]
                power = -(ca * dx * dx + cc * dy * dy + cb * dx * dy)
                raw = o * _exp(min(max(power, lowest), zero), k)
                alpha = min(raw, highest)
                alpha = alpha if alpha >= low else zero
                alpha = alpha if power <= zero else zero
                before = t[i]
                clear = one - alpha
                after = before * clear
                full = after <= t_min
                w = zero if full else before * alpha
                t[i] = -abs(before) if full else after
                weight = gr[i] * r_ + gg[i] * g_ + gb[i] * b_ + gz[i] * z_
                behind = rest[i] - w * weight
                rest[i] = behind
                to_power = raw * (before * weight - behind / clear)
                to_power = zero if full else to_power
                to_power = to_power if raw <= highest else zero
                to_power = to_power if alpha > zero else zero
                sr += w * gr[i]
                sg += w * gg[i]
                sb += w * gb[i]
                sz += w * gz[i]
                ux, uy = to_power * dx, to_power * dy
                s0 += to_power
                sx += ux
                sy += uy
                sxx += ux * dx
                sxy += ux * dy
                syy += uy * dy
            m = slot[n]
            slots[m, 0], slots[m, 1], slots[m, 2], slots[m, 3], slots[m, 4] = sr, sg, sb, sz, s0
            slots[m, 5], slots[m, 6], slots[m, 7], slots[m, 8], slots[m, 9] = sx, sy, sxx, sxy, syy


@njit(parallel=True, **FAST)
def project_back(
    means: Any, quats: Any, scales: Any, sh: Any, view: Any, lens: Any, size: Any, seen: Any, order: Any, first: Any,
    slots: Any, to_means: Any, to_quats: Any, to_scales: Any, to_logits: Any, to_sh: Any, to_flat: Any,
) -> None:  # fmt: skip
    """Gather each Gaussian's slots and carry the gradient back to its parameters.

    Parameters
    ----------
    order : (M,) int64
        Gaussians that are seen, nearest first.
    first : (M + 1,) int64
        Of :func:`bin_tiles`: where the slots of each begin.
    slots : (P, 10)
        Gradients to what :func:`project` wrote, a row per slot.
    to_means, to_quats, to_scales, to_logits, to_sh
        Written; zero before.
    to_flat : (N, 2)
        Written: gradient to the position in the picture, per pixel.
    """
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    width, height = size[0], size[1]
    spare_x, spare_y = 0.15 * width / fx, 0.15 * height / fy
    low_x, high_x = cx / fx + spare_x, (width - cx) / fx + spare_x
    low_y, high_y = cy / fy + spare_y, (height - cy) / fy + spare_y
    ex = -(view[0] * view[3] + view[4] * view[7] + view[8] * view[11])
    ey = -(view[1] * view[3] + view[5] * view[7] + view[9] * view[11])
    ez = -(view[2] * view[3] + view[6] * view[7] + view[10] * view[11])
    count = sh.shape[1]
    for chunk in prange((len(order) + CHUNK - 1) // CHUNK):
        r, q, dr = np.empty((3, 3)), np.empty(4), np.empty((3, 3))
        s, basis, slopes = np.empty(SLOT), np.empty(16), np.empty((16, 3))
        for index in range(chunk * CHUNK, min(len(order), (chunk + 1) * CHUNK)):
            g = order[index]
            s[:] = 0.0
            for m in range(first[index], first[index + 1]):
                for j in range(SLOT):
                    s[j] += slots[m, j]
            opacity = np.float64(seen[g, OPACITY])
            to_logits[g] = s[4] * (1.0 - opacity)  # d opacity is s / opacity, and the logistic's slope o (1 - o)
            ka, kb, kc = np.float64(seen[g, CA]), np.float64(seen[g, CB]), np.float64(seen[g, CC])
            flat_x, flat_y = -(ka * s[5] + kb * s[6]), -(kb * s[5] + kc * s[6])
            to_flat[g, 0], to_flat[g, 1] = flat_x, flat_y
            # of the inverse covariance, then of the covariance: -K D K
            da, db, dc = -0.5 * s[7], -0.5 * s[8], -0.5 * s[9]
            u00, u01 = da * ka + db * kb, da * kb + db * kc
            u10, u11 = db * ka + dc * kb, db * kb + dc * kc
            v00, v01, v11 = -(ka * u00 + kb * u10), -(ka * u01 + kb * u11), -(kb * u01 + kc * u11)
            px, py, pz = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
            x = view[0] * px + view[1] * py + view[2] * pz + view[3]
            y = view[4] * px + view[5] * py + view[6] * pz + view[7]
            z = view[8] * px + view[9] * py + view[10] * pz + view[11]
            iz = 1.0 / z
            slope_x, slope_y = _clamped(x * iz, low_x, high_x), _clamped(y * iz, low_y, high_y)
            j00, j02, j11, j12 = fx * iz, -fx * slope_x * iz, fy * iz, -fy * slope_y * iz
            for j in range(4):
                q[j] = quats[g, j]
            norm = _rotation(q, r)
            d00 = d02 = d11 = d12 = 0.0
            for j in range(3):
                size_j = math.exp(np.float64(scales[g, j]))
                q0 = (view[0] * r[0, j] + view[1] * r[1, j] + view[2] * r[2, j]) * size_j
                q1 = (view[4] * r[0, j] + view[5] * r[1, j] + view[6] * r[2, j]) * size_j
                q2 = (view[8] * r[0, j] + view[9] * r[1, j] + view[10] * r[2, j]) * size_j
                p0, p1 = j00 * q0 + j02 * q2, j11 * q1 + j12 * q2
                dp0, dp1 = 2 * (v00 * p0 + v01 * p1), 2 * (v01 * p0 + v11 * p1)
                d00, d02 = d00 + dp0 * q0, d02 + dp0 * q2
                d11, d12 = d11 + dp1 * q1, d12 + dp1 * q2
                dq0, dq1, dq2 = j00 * dp0, j11 * dp1, j02 * dp0 + j12 * dp1
                along = 0.0
                for i in range(3):
                    dm = view[i] * dq0 + view[4 + i] * dq1 + view[8 + i] * dq2
                    along += dm * r[i, j]
                    dr[i, j] = dm * size_j
                to_scales[g, j] = along * size_j
            # camera-space position: through the mean in the picture, the slopes, and the depth that is blended
            dx, dy = flat_x * fx * iz, flat_y * fy * iz
            dz = s[3] - (flat_x * fx * x + flat_y * fy * y) * iz * iz
            dz += -(d00 * fx + d11 * fy) * iz * iz
            if -low_x <= x * iz <= high_x:
                dx += -d02 * fx * iz * iz
                dz += 2 * d02 * fx * slope_x * iz * iz
            else:
                dz += d02 * fx * slope_x * iz * iz
            if -low_y <= y * iz <= high_y:
                dy += -d12 * fy * iz * iz
                dz += 2 * d12 * fy * slope_y * iz * iz
            else:
                dz += d12 * fy * slope_y * iz * iz
            w, a, b, c = q[0] * norm, q[1] * norm, q[2] * norm, q[3] * norm
            dw = 2 * (a * (dr[2, 1] - dr[1, 2]) + b * (dr[0, 2] - dr[2, 0]) + c * (dr[1, 0] - dr[0, 1]))
            d_a = 2 * (
                -2 * a * (dr[1, 1] + dr[2, 2]) + b * (dr[1, 0] + dr[0, 1]) + c * (dr[2, 0] + dr[0, 2])
                + w * (dr[2, 1] - dr[1, 2])
            )  # fmt: skip
            d_b = 2 * (
                a * (dr[1, 0] + dr[0, 1]) - 2 * b * (dr[0, 0] + dr[2, 2]) + c * (dr[2, 1] + dr[1, 2])
                + w * (dr[0, 2] - dr[2, 0])
            )  # fmt: skip
            d_c = 2 * (
                a * (dr[2, 0] + dr[0, 2]) + b * (dr[2, 1] + dr[1, 2]) - 2 * c * (dr[0, 0] + dr[1, 1])
                + w * (dr[1, 0] - dr[0, 1])
            )  # fmt: skip
            along = dw * w + d_a * a + d_b * b + d_c * c
            to_quats[g, 0], to_quats[g, 1] = (dw - along * w) * norm, (d_a - along * a) * norm
            to_quats[g, 2], to_quats[g, 3] = (d_b - along * b) * norm, (d_c - along * c) * norm
            # colour
            ox, oy, oz = px - ex, py - ey, pz - ez
            away = 1.0 / max(1e-12, math.sqrt(ox * ox + oy * oy + oz * oz))
            ux, uy, uz = ox * away, oy * away, oz * away
            _harmonics(count, ux, uy, uz, basis)
            if count > 1:
                _harmonics_slope(count, ux, uy, uz, slopes)
            tx = ty = tz = 0.0
            for ch in range(3):
                down = s[ch] if seen[g, RED + ch] > 0 else 0.0
                for j in range(count):
                    to_sh[g, j, ch] = down * basis[j]
                for j in range(1, count):
                    value = down * sh[g, j, ch]
                    tx, ty, tz = tx + value * slopes[j, 0], ty + value * slopes[j, 1], tz + value * slopes[j, 2]
            along = tx * ux + ty * uy + tz * uz
            tx, ty, tz = (tx - along * ux) * away, (ty - along * uy) * away, (tz - along * uz) * away
            to_means[g, 0] = view[0] * dx + view[4] * dy + view[8] * dz + tx
            to_means[g, 1] = view[1] * dx + view[5] * dy + view[9] * dz + ty
            to_means[g, 2] = view[2] * dx + view[6] * dy + view[10] * dz + tz


@njit(parallel=True, **FAST)
def moments(shown: Any, target: Any, out: Any) -> None:
    """Write both pictures, their squares and their product side by side, (H, W, 15)."""
    for y in prange(shown.shape[0]):
        for x in range(shown.shape[1]):
            for c in range(3):
                a, b = shown[y, x, c], target[y, x, c]
                out[y, x, c], out[y, x, 3 + c], out[y, x, 6 + c] = a, b, a * a
                out[y, x, 9 + c], out[y, x, 12 + c] = b * b, a * b


@njit(parallel=True, **FAST)
def similarity(maps: Any, c1: float, c2: float, sums: Any, out: Any) -> None:
    """Write the structural similarity's slopes to the local moments, (H, W, 9), and its sum over each row."""
    scale = 1.0 / (maps.shape[0] * maps.shape[1] * 3)
    for y in prange(maps.shape[0]):
        total = 0.0
        for x in range(maps.shape[1]):
            for c in range(3):
                mx, my = np.float64(maps[y, x, c]), np.float64(maps[y, x, 3 + c])
                xx, yy, xy = maps[y, x, 6 + c], maps[y, x, 9 + c], maps[y, x, 12 + c]
                a1, a2 = 2 * mx * my + c1, 2 * (xy - mx * my) + c2
                b1, b2 = mx * mx + my * my + c1, xx - mx * mx + yy - my * my + c2
                below = 1 / (b1 * b2)
                value = a1 * a2 * below
                total += value
                out[y, x, c] = scale * (2 * my * (a2 - a1) * below + 2 * mx * value * (1 / b2 - 1 / b1))
                out[y, x, 3 + c] = -scale * value / b2
                out[y, x, 6 + c] = scale * 2 * a1 * below
        sums[y] = total


@njit(parallel=True, **FAST)
def similarity_back(shown: Any, target: Any, back: Any, out: Any) -> None:
    """Write the slope to the first picture of :func:`moments`, (H, W, 3)."""
    for y in prange(shown.shape[0]):
        for x in range(shown.shape[1]):
            for c in range(3):
                a, b = shown[y, x, c], target[y, x, c]
                out[y, x, c] = back[y, x, c] + 2 * a * back[y, x, 3 + c] + b * back[y, x, 6 + c]
