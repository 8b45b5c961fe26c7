// Colours: which of the palette is a region's own, the same in every panel, and what the style sheet says it is.

const PALETTE = 6
const given = []

// Regions in the order of the alphabet, so that every region's board paints them alike.
export function share(names) {
  for (const name of [...names].sort()) if (!given.includes(name)) given.push(name)
}

export function place(name) {
  share([name])
  return (given.indexOf(name) % PALETTE) + 1
}

// The colours as the canvas needs them; asked for anew when the scheme changes.
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
