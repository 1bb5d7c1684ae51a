(function () {
  var box = document.getElementById('compare'), stage = box && box.querySelector('.stage');
  if (!stage) { return; }
  var slider = document.createElement('input'), line = document.createElement('div'), overlay = null;
  slider.type = 'range'; slider.min = 0; slider.max = 100; slider.step = 0.1; slider.value = 50;
  slider.setAttribute('aria-label', 'Move between before and after');
  line.className = 'line';
  slider.addEventListener('input', function () { box.style.setProperty('--cut', slider.value + '%'); });
  stage.appendChild(slider); stage.appendChild(line);
  document.getElementById('tools').addEventListener('change', function (e) {
    if (overlay) { overlay.remove(); overlay = null; }
    var map = e.target.value && document.getElementById(e.target.value);
    if (map) {
      overlay = document.createElement('img');
      overlay.className = 'overlay'; overlay.alt = ''; overlay.src = map.src;
      stage.insertBefore(overlay, slider);
    }
  });
  box.classList.add('live');
  var printed = document.getElementById('printed'), layers = document.createElement('div');
  layers.className = 'layers';
  [['', '.after img'], ['overlay', '#map-edit']].forEach(function (one) {
    var copy = document.createElement('img');
    copy.className = one[0]; copy.alt = ''; copy.src = document.querySelector(one[1]).src;
    layers.appendChild(copy);
  });
  var words = document.createElement('figcaption');
  words.textContent = 'The edit map laid over the result';
  printed.appendChild(layers); printed.appendChild(words);
})();
