// Links: how old one region's newest events are in another, as a named state and as a sentence.

import { age, list } from './words.js'

const FRESH = 3
const CUT = 15

export const WORDS = { fresh: 'fresh', late: 'late', cut: 'no events' }

export function state(staleness) {
  if (staleness === null || staleness === undefined || staleness >= CUT) return 'cut'
  return staleness < FRESH ? 'fresh' : 'late'
}

// A link of which nothing is known, because its reader does not report, weighs less than one with an age.
const weight = (link) => link.staleness ?? -1

// Both directions of a link are one line on the map: the worse one is shown.
export function pairs(links) {
  const found = new Map()
  for (const link of links) {
    const name = [link.from, link.to].sort().join(' ')
    const before = found.get(name)
    if (!before || weight(link) > weight(before)) found.set(name, link)
  }
  return [...found].map(([name, link]) => ({ name, ...link, state: state(link.staleness) }))
}

// One sentence for the whole map.
export function summary(links) {
  if (!links.length) return 'One region: nothing to link yet.'
  const slowest = links.reduce((most, link) => (weight(link) > weight(most) ? link : most))
  const bad = pairs(links).filter((link) => link.state !== 'fresh')
  if (!bad.length) return `All links are fresh; the slowest brings events after ${age(slowest.staleness)} (${slowest.to}, read in ${slowest.from}).`
  const cut = bad.filter((link) => state(link.staleness) === 'cut').map((link) => `${link.from} receives nothing from ${link.to}`)
  const late = bad.filter((link) => state(link.staleness) === 'late').map((link) => `${link.to} is late in ${link.from}`)
  const named = [...cut, ...late]
  return `${list(named.length > 3 ? [...named.slice(0, 2), `${named.length - 2} more`] : named)}.`
}
