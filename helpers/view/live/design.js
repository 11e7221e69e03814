// Draw your own: a plan's costs and forecast. The same formulas in Python: helpers/model (counted on the built
// layers, and check_plan) and helpers/board/forecast.py; a test compares them.
function fault({widths, depths, heads, kernels}) {
  for (const [name, values] of [['width', widths], ['depth', depths], ['heads', heads]]) {
    const odd = values.find(value => !Number.isInteger(value)), low = Math.min(...values);
    const wrong = odd === undefined ? low < 1 && `${low} is below 1` : `${odd || '?'} is no whole number`;
    if (wrong) return `${name} ${wrong}: give positive whole numbers`;
  }
  const at = widths.findIndex((width, i) => width % heads[i]), most = Math.max(...heads), known = kernels.length;
  if (at >= 0) return `width ${widths[at]} does not divide among ${heads[at]} heads: take a multiple of ${heads[at]}`;
  if (widths[0] % 8) return `first width ${widths[0]} is no multiple of 8, which the stem needs`;
  if (most > known) return `${most} heads need as many kernels, not ${known}: take at most ${known} heads`;
}
function count({widths, depths, heads, kernels}) {
  let params = 0, macs = 0, times = 1, inputs = 3, side = 224;
  const add = (weights, others, uses) => { params += times * (weights + others); macs += times * weights * uses; };
  const conv = (from, to, kernel = 1, groups = 1) => add(kernel ** 2 * from / groups * to, 2 * to, side ** 2);
  const local = width => { conv(width, width, 3, width); conv(width, 2 * width); conv(2 * width, width); };
  for (const width of [8, 4, 2, 1].map(part => widths[0] / part)) {
    side /= 2; conv(inputs, width, 3); inputs = width;
  }
  widths.forEach((width, stage) => {
    if (stage) {  // the downsampling
      const inside = 4 * inputs;
      local(inputs); conv(inputs, inside);
      side = Math.ceil(side / 2);
      conv(inside, inside, 3, inside); add(2 * inside * inputs, inside + inputs, 1);
      conv(inside, width); local(width);
    }
    times = depths[stage];
    local(width); local(width);
    const tokens = Math.min(7, side) ** 2, share = width / heads[stage];
    for (const kernel of kernels.slice(0, heads[stage])) {
      conv(share, 32 + share); conv(16, 16, kernel, 16);
      params += times * tokens;  // the bias table
      macs += times * (16 + share) * tokens * side ** 2;
    }
    conv(width, width);
    [times, inputs] = [1, width];
  });
  add(1000 * inputs, 2 * inputs + 1000, 1);
  return [macs, params];
}
function forecast({costs, variance, inverse, quantile}, macs, params) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const point = [1, macs / 1e6, params / 1e6].slice(0, costs.length), time = dot(costs, point);
  const half = quantile * Math.sqrt(variance * (time ** 2 + dot(point, inverse.map(row => dot(row, point)))));
  return [time, time + half, time - half].map(micros => 1e6 / micros);
}
const round = value => Math.round(value).toLocaleString('en');
// the six models' points, and ours with its interval
function axis(name, y, [at, low, high], points, longest, text, usual = '#0072B2') {
  const [least, most] = [Math.min, Math.max].map(end => end(...Object.values(points)));
  const x = value => 60 + 600 * value / longest, ink = at < least || at > most ? '#A33F00' : usual;
  return `<text y="${y + 5}">${name}</text><path d="M60 ${y}H660" stroke="#D9D9D9"/>
    <path d="M${x(least)} ${y}H${x(most)}" stroke="#D9D9D9" stroke-width="9"/>
    ${Object.entries(points).map(([model, value], i) => `<circle cx="${x(value)}" cy="${y}" r="3" fill="#767676"/>
      <text x="${x(value)}" y="${y + (i % 2 ? 32 : 19)}" text-anchor="middle" fill="#666">${model}</text>`).join('')}
    <path d="M${x(low)} ${y}H${x(high)}" stroke="${ink}" stroke-width="15" opacity=".4"/>
    <circle cx="${x(at)}" cy="${y}" r="4" fill="#fff" stroke="${ink}" stroke-width="2"/>
    <text x="${x(at)}" y="${y - 12}" text-anchor="middle" fill="${ink}">${text}</text>`;
}
function draw(root, {plan, models, colours, fits, measured, counted, range}) {
  const parts = ['widths', 'depths', 'heads'], [least, most] = range;
  root.style.overflowX = 'auto';
  root.insertAdjacentHTML('beforeend', `<b>Draw your own: how fast would the AX650N run it?</b> Hollow, in its 90 %
    interval: the forecast. Grey: the six models, published, on which it is fitted.
    <p style="margin:.5em 0"><label>start from <select>${['yours', ...Object.keys(models)].map(name =>
      `<option>${name}</option>`).join('')}</select></label></p>
    <table style="margin:0; text-align:right"><tr><td></td><th>stage 1</th><th>stage 2</th><th>stage 3</th></tr>
    ${parts.map(part => `<tr><th>${part}</th>${[1, 2, 3].map(stage => `<td><input type="number" min="1" step="${
      part === 'widths' ? 8 : 1}" style="width:4.5em" aria-label="${part}, stage ${stage}"></td>`).join('')}`).join('')}
    </table><p role="status" style="min-height:4em; margin:.5em 0"></p>
    <svg viewBox="0 0 700 325" style="width:100%; min-width:520px" font-size="13" role="img"></svg>`);
  const fields = [...root.querySelectorAll('input')];
  const [choice, told, sheet] = ['select', '[role=status]', 'svg'].map(name => root.querySelector(name));
  let kernels;
  const update = () => {
    const [widths, depths, heads] = [0, 3, 6].map(at => fields.slice(at, at + 3).map(field => field.valueAsNumber));
    const wrong = fault({widths, depths, heads, kernels});
    sheet.style.opacity = wrong ? 0.2 : 1;
    told.style.color = wrong ? '#A33F00' : '';
    if (wrong) return void (told.textContent = wrong);
    const [macs, params] = count({widths, depths, heads, kernels});
    const speeds = Object.entries(fits).map(([name, fit]) => [name, forecast(fit, macs, params)]);
    const millions = (macs / 1e6).toFixed(1), fit = macs / 1e6 >= least && macs / 1e6 <= most;
    root.dataset.exact = JSON.stringify([macs, params, ...speeds.flatMap(([, speed]) => speed)]);
    told.textContent = `${(params / 1e6).toFixed(2)} million parameters. ` +
      speeds.map(([name, [fps, ...ends]]) => `${name}: ${round(fps)} images/s at batch 8 (90 %: ${
        ends.map(round).join(' to ')}). `).join('') + `${millions} million MACs lie ${fit ? 'within' : 'outside'} the ${
        least} to ${most} of the fitted models${fit ? '.' : ': a guess.'}`;
    const unit = 600 / Math.max(2600, depths.reduce((sum, depth, i) => sum + depth * widths[i], 0));
    let left = 60;
    sheet.innerHTML = '<title>the plan to scale, its MACs and its forecast</title>' + depths.map((depth, i) => {
      const boxes = Math.min(depth, 40), wide = unit * depth * widths[i] / boxes, tall = [70, 35, 20][i];
      return Array.from({length: boxes}, () => `<rect x="${(left += wide) - wide}" y="${75 - tall}" width="${wide}"
        height="${tall}" fill="#A9CCE3" stroke="#fff"/>`).join('');
    }).join('') + axis('MACs', 125, Array(3).fill(macs / 1e6), counted, 1.1 * Math.max(most, macs / 1e6),
      `${round(macs / 1e6)} million`) + speeds.map(([name, speed], i) => axis(name, 205 + 80 * i, speed, measured[name],
      1.1 * Math.max(...speeds.map(([, one]) => one[2]), ...Object.values(measured.NPU3)),
      `${round(speed[0])} images/s`, colours[name])).join('');
  };
  choice.onchange = () => {
    const from = models[choice.value] ?? plan;
    kernels = from.kernels;
    fields.forEach((field, i) => { field.value = from[parts[Math.floor(i / 3)]][i % 3]; });
    update();
  };
  fields.forEach(field => { field.oninput = update; });
  choice.onchange();
}
