// Colours: which of the palette is a region's own, the same in every panel, and what the style sheet says it is.

const PALETTE = 6
const given = new Map()

// A region's colour follows from its name, so that it stays the same however many regions there are. Where two names
// want one colour, the later of the alphabet takes the next that is free.
export function share(names) {
  for (const name of [...names].sort()) {
    if (given.has(name)) continue
    const taken = new Set(given.values())
    const wanted = [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % PALETTE
    const order = Array.from({ length: PALETTE }, (_, step) => ((wanted + step) % PALETTE) + 1)
    given.set(name, order.find((one) => !taken.has(one)) ?? order[0])
  }
}

export function place(name) {
  share([name])
  return given.get(name)
}

// The colours as the canvas needs them; read again when the scheme changes.
export function palette() {
  const style = getComputedStyle(document.documentElement)
  const read = (name) => style.getPropertyValue(`--${name}`).trim()
  return {
    of: (name) => read(`region-${place(name)}`),
    quiet: read('quiet'),
    line: read('line'),
    sheet: read('sheet'),
    ink: read('ink'),
    font: getComputedStyle(document.body).fontFamily,
  }
}
