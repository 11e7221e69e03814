// What every live picture ends with: draw, then take the place of the static figure in the output before.
const root = document.currentScript.parentElement;
const output = root.closest('.jp-OutputArea-child, .output');  // JupyterLab, nbconvert; the web book
const still = output && output.previousElementSibling;
root.style.cssText = 'background:#fff; color:#222; padding:.6rem; border-radius:.3rem; font:14px sans-serif';
draw(root, JSON.parse(root.querySelector('script').textContent));
root.hidden = false;
if (still && (still.matches('img') || still.querySelector('img, svg'))) still.style.display = 'none';
