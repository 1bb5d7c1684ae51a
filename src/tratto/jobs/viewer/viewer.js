// A scene in the browser. Frames: a .ply or .splat has y down and z forward, three.js y up and z towards the viewer; half
// a turn about x leads from one to the other. SPZ is in the frame of three.js already.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkRenderer, SplatMesh } from "spark";

const at = (id) => document.getElementById(id);
const facts = await (await fetch("facts.json")).json();
const asked = new URLSearchParams(location.search);
at("name").textContent = facts.name;
at("facts").textContent = `${facts.gaussians} Gaussians` + (facts.marked ? `, ${facts.seen} seen in photographs` : "");
at("marks").hidden = !facts.marked || facts.seen === facts.gaussians;
document.title = facts.name;

const renderer = new THREE.WebGLRenderer({ canvas: at("view"), antialias: false, preserveDrawingBuffer: true });
renderer.setClearColor(0xffffff, 1);
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(2 * Math.atan(1 / 3) * 180 / Math.PI, 1, 0.001 * facts.radius, 100 * facts.radius);
const spark = new SparkRenderer({ renderer });
scene.add(spark);
const middle = new THREE.Vector3(facts.middle[0], -facts.middle[1], -facts.middle[2]);
const elevation = 15 * Math.PI / 180, distance = 3.2 * facts.radius;
const azimuth = Number(asked.get("azimuth") || 0) * Math.PI / 180;
camera.position.set(Math.sin(azimuth) * Math.cos(elevation), Math.sin(elevation), Math.cos(azimuth) * Math.cos(elevation))
  .multiplyScalar(distance).add(middle);
const controls = new OrbitControls(camera, renderer.domElement);
controls.target.copy(middle);
controls.enableDamping = true;
controls.update();
// a picture that does not change is not drawn over and over; Gaussians are sorted in another thread, so some more are
let until = 0;
const wake = () => { until = performance.now() + 3000; };
controls.addEventListener("change", wake);
addEventListener("resize", wake);
at("turn").onchange = () => { controls.autoRotate = at("turn").checked; };
at("bar").onsubmit = (event) => event.preventDefault();

async function load(name) {
  const file = new Uint8Array(await (await fetch(name)).arrayBuffer());
  const mesh = new SplatMesh({ fileBytes: file, fileName: name });
  if (!name.endsWith(".spz")) mesh.quaternion.set(1, 0, 0, 0);
  await mesh.initialized;
  scene.add(mesh);
  return mesh;
}

const meshes = {};
async function show(name) {
  at("state").textContent = "loading";
  meshes[name] ??= await load(name);
  for (const [key, mesh] of Object.entries(meshes)) mesh.visible = key === name;
  wake();
  at("state").textContent = "";
}
const failed = (error) => { at("state").textContent = `This scene cannot be shown: ${error.message || error}`; };
at("seen").checked = asked.has("seen");
at("seen").onchange = () => show(at("seen").checked ? "seen.ply" : facts.file).catch(failed);

function draw() {
  controls.update();
  const width = innerWidth, height = innerHeight;
  if (renderer.domElement.width !== width || renderer.domElement.height !== height) {
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
  }
  renderer.render(scene, camera);
}
const picture = () => new Promise((done) => { draw(); renderer.domElement.toBlob(done, "image/png"); });
at("shot").onclick = async () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await picture());
  link.download = facts.name.replace(/\.[^.]*$/, "") + ".png";
  link.click();
  URL.revokeObjectURL(link.href);
};
renderer.setAnimationLoop(() => {
  if (performance.now() < until) draw();
  else controls.update();
});
try {
  await show(at("seen").checked ? "seen.ply" : facts.file);
  if (asked.has("shot")) {  // whoever started the server waits for a picture; Gaussians are sorted in another thread
    at("bar").hidden = true;
    await new Promise((done) => setTimeout(done, 1500));
    await fetch("shot", { method: "POST", body: await picture() });
  }
} catch (error) {
  failed(error);
}
