// Three ways to be several heads: point at a head, or step with the arrow keys, and what it hears lights up.
function draw(root, {svg, heads, faint}) {
  root.insertAdjacentHTML('beforeend', svg);
  const picture = root.querySelector('svg');
  picture.querySelector('title').remove();  // a tooltip over everything; the words below say it
  // where the static figure is part of the page, too, a clip path is looked up in it, and it is hidden
  picture.querySelectorAll('[clip-path]').forEach(part => part.removeAttribute('clip-path'));
  const words = root.appendChild(document.createElement('div'));
  words.setAttribute('aria-hidden', 'true');
  const parts = new Map();
  for (const name of new Set(heads.flatMap(head => head.parts))) {
    parts.set(name, picture.querySelectorAll(`[id="${name}"] path`));
  }
  let looked;

  function look(head) {
    looked = Math.max(0, Math.min(heads.length - 1, head));
    const lit = new Set(heads[looked].parts);
    parts.forEach((shapes, name) => shapes.forEach(shape => {
      shape.style.opacity = lit.has(name) ? 1 : faint;
      shape.style.strokeOpacity = shape.style.fillOpacity = '';
    }));
    picture.setAttribute('aria-valuenow', looked + 1);
    picture.setAttribute('aria-valuetext', heads[looked].says);
    words.textContent = `${heads[looked].says}. Point at another head, or press an arrow key.`;
  }

  const attributes = {role: 'slider', tabindex: 0, 'aria-label': 'head', 'aria-valuemin': 1,
                      'aria-valuemax': heads.length};
  for (const [name, value] of Object.entries(attributes)) picture.setAttribute(name, value);
  heads.forEach((_, head) => parts.forEach((shapes, name) => {
    if (!name.endsWith(`-look-${head}`)) return;
    for (const frame of shapes) {
      frame.style.pointerEvents = 'all';  // of a frame without a filling only the edge would answer
      frame.addEventListener('pointerenter', () => look(head));
    }
  }));
  picture.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    look(looked + step);
  });
  look(heads.length - 1);
}
