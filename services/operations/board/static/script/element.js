// Element: nodes are built and changed here and nowhere else, and what they show is always text, never markup.

const SVG = 'http://www.w3.org/2000/svg'
const kept = new WeakMap()

// The named inner nodes of a row, for whoever fills it.
export const parts = new WeakMap()

export const find = (id) => document.getElementById(id)

export function element(name, attributes = {}, ...children) {
  return dressed(document.createElement(name), attributes, children)
}

export function drawn(name, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, name), attributes, children)
}

function dressed(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) set(node, name, value)
  node.append(...children)
  return node
}

// One of the symbols that the page carries; decoration, so words stand beside it.
export function icon(name) {
  return drawn('svg', { class: 'icon', 'aria-hidden': 'true' }, drawn('use', { href: `#icon-${name}` }))
}

// Text nodes are changed in place, and only when they differ: the layout is touched no more than needed.
export function say(node, text) {
  const shown = String(text ?? '')
  const only = node.firstChild
  if (only?.nodeType === Node.TEXT_NODE && !only.nextSibling) {
    if (only.data !== shown) only.data = shown
  } else node.textContent = shown
}

export function set(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name)
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value))
}

export const show = (node, shown) => set(node, 'hidden', shown ? null : '')

// How far a bar reaches, 0 to 1: a custom property that the style sheet reads.
export function reach(node, share) {
  const scale = Math.max(0, Math.min(1, share || 0)).toFixed(4)
  if (node.style.getPropertyValue('--reach') !== scale) node.style.setProperty('--reach', scale)
}

// Children of `parent`, one per item and in their order. A node stays with its key; one whose key is gone is
// filled again for the next, so that a busy stream makes no garbage. Gives the nodes that are new to their key.
export function keep(parent, items, key, make, fill) {
  const known = kept.get(parent) ?? new Map()
  const wanted = new Set(items.map(key))
  const spare = [...known].filter(([id]) => !wanted.has(id)).map(([, node]) => node)
  const now = new Map()
  const fresh = []
  let at = parent.firstChild
  for (const item of items) {
    const id = key(item)
    if (now.has(id)) continue
    const mine = known.get(id)
    const node = mine ?? spare.pop() ?? make()
    if (!mine) fresh.push(node)
    fill(node, item, !mine)
    now.set(id, node)
    if (node === at) at = at.nextSibling
    else parent.insertBefore(node, at)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
  kept.set(parent, now)
  return fresh
}
