// The cat: choose a token on the photo, and see where it looks in every head, all heads on one scale.
// data: photo (a URI), point ([x, y] of 0 to 1), stages: each with its name, heads, across (windows), side (of
// a window in tokens), edges: bytes [head, window, query, key], and percent: bytes [head, window, query], the
// largest weight of a row. An edge is the root of a weight.
function draw(root, data) {
  const bytes = text => Uint8Array.from(atob(text), one => one.charCodeAt(0));
  const stages = data.stages.map(stage => ({
    ...stage, n: stage.across * stage.side, edges: bytes(stage.edges), percent: bytes(stage.percent),
  }));
  let [x, y] = data.point, chosen = Math.min(1, stages.length - 1);

  const map = (around, fade) => `<svg viewBox="0 0 100 100" ${around} style="display:block; width:100%; overflow:visible">
    <image href="${data.photo}" width="100" height="100" ${fade}></image>
    <rect class="window" fill="none" stroke="#222" stroke-dasharray="3 2"></rect>
    <rect class="under" fill="none" stroke="#fff" stroke-width="2.4"></rect>
    <rect class="token" fill="none" stroke="#D55E00" stroke-width="1.2"></rect><path class="marks"></path></svg>`;
  const pale = 'style="filter:grayscale(1) opacity(.35)"';
  const heads = Array.from({length: Math.max(...stages.map(stage => stage.heads))}, (_, head) =>
    `<div><div class="says" style="padding-bottom:.3rem"></div>${map('aria-hidden="true"', pale)}</div>`);
  const photo = 'class="photo" tabindex="0" role="application" aria-label="The photo: the arrow keys choose a token"';
  root.insertAdjacentHTML('beforeend', `
    <form style="display:flex; flex-wrap:wrap; gap:.2rem 1.2rem; margin:0 0 .6rem">${stages.map((stage, place) =>
      `<label><input type="radio" name="stage" value="${place}" ${place === chosen ? 'checked' : ''}>
      ${stage.name}: ${stage.n} × ${stage.n} tokens</label>`).join('')}</form>
    <div style="display:flex; flex-wrap:wrap; gap:.8rem">
      <div style="flex:1 1 250px; max-width:400px"><div style="padding-bottom:.3rem">choose a token here</div>${map(photo, '')}</div>
      <div class="heads" style="flex:1 1 250px; max-width:400px; display:grid; gap:.4rem .8rem;
        grid-template-columns:1fr 1fr">${heads.join('')}</div></div>
    <p role="status" style="margin:.6rem 0 0"></p>`);
  const eye = root.querySelector('.photo'), panels = [...root.querySelectorAll('.heads > div')];
  eye.style.cursor = 'crosshair';

  const place = (svg, kind, column, row, size, n, out = 0) => {  // out: how far outside, to cover nothing
    const [x, y, long] = [column, row, size].map(value => 100 * value / n);
    const values = {x: x - out, y: y - out, width: long + 2 * out, height: long + 2 * out};
    for (const [name, value] of Object.entries(values)) svg.querySelector('.' + kind).setAttribute(name, value);
  };

  function paint() {
    const {name, heads, across, side, n, edges, percent} = stages[chosen];
    const row = Math.min(n - 1, Math.floor(y * n)), column = Math.min(n - 1, Math.floor(x * n));
    const top = row - row % side, left = column - column % side, cells = side * side;
    const asks = (top / side * across + left / side) * cells + row % side * side + column % side;
    const rows = Array.from({length: heads}, (_, head) => head * across * across * cells + asks);
    const seen = rows.map(at => [...edges.subarray(at * cells, (at + 1) * cells)]);
    const tops = rows.map(at => percent[at]), most = Math.max(...seen.flat());
    for (const svg of root.querySelectorAll('svg'))
      for (const kind of ['under', 'token']) place(svg, kind, column, row, 1, n, 1.2);
    panels.forEach((panel, head) => {
      panel.hidden = head >= heads;
      if (panel.hidden) return;
      panel.querySelector('.says').textContent = `head ${head + 1}: up to ${tops[head]} %`;
      const marks = panel.querySelector('.marks');
      marks.setAttribute('fill', '#0072B2');
      marks.setAttribute('d', seen[head].map((edge, key) => {
        if (!edge) return '';
        const size = edge / most, at = [left + key % side, top + Math.floor(key / side)];
        const [right, down] = at.map(corner => 100 * (corner + 0.5 - size / 2) / n), long = 100 * size / n;
        return `M${right} ${down}h${long}v${long}h${-long}z`;
      }).join(''));
      if (across > 1) place(panel, 'window', left, top, side, n);
      panel.querySelector('.window').style.display = across > 1 ? '' : 'none';
    });
    root.querySelector('[role=status]').textContent = `${name}: the token in row ${row + 1}, column ${column + 1}` +
      ` asks. A square's area is its attention; one that fills its token is ${Math.max(...tops)} %.`;
  }

  const point = event => {
    const box = eye.getBoundingClientRect();
    [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    [x, y] = [x, y].map(value => Math.min(0.999, Math.max(0, value)));
    paint();
  };
  eye.addEventListener('pointerdown', point);
  eye.addEventListener('pointermove', event => { if (event.buttons) point(event); });
  eye.addEventListener('keydown', event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step) return;
    event.preventDefault();
    const n = stages[chosen].n;
    const next = [x, y].map((value, axis) => (Math.floor(value * n) + step[axis] + 0.5) / n);
    [x, y] = next.map(value => Math.min(1 - 0.5 / n, Math.max(0.5 / n, value)));
    paint();
  });
  root.querySelector('form').addEventListener('change', event => { chosen = Number(event.target.value); paint(); });
  paint();
}
