// Rates: what every domain says per second, in every region, over the last ten minutes.

import { element, find, say, show } from './element.js'
import { silent } from './map.js'
import { Past } from './past.js'
import { plot } from './plot.js'
import { clock, count, list, rate } from './words.js'

const ORDER = ['interaction', 'cart', 'order', 'offer', 'recommendation', 'customer', 'user', 'product', 'contact']
const MOST = 6

const rank = (domain) => (ORDER.includes(domain) ? ORDER.indexOf(domain) : ORDER.length)

export function rates() {
  const past = new Past()
  const tiles = new Map()
  let regions = []
  let chosen = []
  let pointed = null

  function remember(history) {
    past.clear()
    for (const [region, domains] of Object.entries(history.rates)) {
      for (const [domain, values] of Object.entries(domains)) {
        values.forEach((value, index) => past.add(history.at[index], domain, region, value))
      }
    }
  }

  function add(picture) {
    const at = Date.parse(picture.at) / 1000
    const known = new Set([...past.kinds, ...picture.regions.flatMap((region) => Object.keys(region.rates))])
    for (const region of picture.regions) {
      for (const domain of known) past.add(at, domain, region.name, silent(region) ? null : (region.rates[domain] ?? 0))
    }
  }

  // Which domains are drawn: those with the most to say, in an order that stays.
  function choose() {
    const busy = past.kinds.map((domain) => ({ domain, sum: past.sum(domain) })).sort((a, b) => b.sum - a.sum)
    const drawn = busy.slice(0, MOST).filter((one) => one.sum > 0 || rank(one.domain) < 4).map((one) => one.domain)
    const quiet = past.kinds.filter((domain) => !drawn.includes(domain)).sort()
    say(find('rates-quiet'), quiet.length ? `Quiet: ${list(quiet)}.` : '')
    return drawn.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
  }

  function build(names) {
    for (const tile of tiles.values()) tile.plot.end()
    tiles.clear()
    const host = find('rates')
    host.replaceChildren()
    for (const domain of chosen) {
      const [now, sum, hole] = ['now', 'sum', 'hole'].map((name) => element('div', { class: name }))
      host.append(element('section', { class: 'tile' }, element('h3', {}, domain), now, sum, hole))
      const drawing = plot(hole, names, (index) => {
        pointed = index
        for (const [each, one] of tiles) tell(each, one)
      })
      tiles.set(domain, { now, sum, plot: drawing, table: null })
    }
  }

  function tell(domain, tile) {
    if (!tile.table) return
    const [at, ...lists] = tile.table
    const value = (index) => (pointed === null ? lists[index].findLast((one) => one !== null) ?? null : lists[index][pointed])
    const rows = regions.map((name, index) => ({ name, value: value(index) }))
    const known = rows.map((row) => row.value).filter((one) => one !== null)
    say(tile.now, known.length ? `${rate(known.reduce((sum, one) => sum + one, 0))}/s` : '–')
    // The lines carry their names; where someone points at a moment, each region's figure stands here.
    const figures = rows.map((row) => `${row.name} ${rate(row.value)}`).join(' · ')
    say(tile.sum, pointed === null ? `${count(Math.round(past.sum(domain)))} in 10 min` : figures)
    say(find('rates-when'), pointed === null ? 'per second, last 10 minutes' : `per second at ${clock(at[pointed] * 1000)}`)
  }

  function draw(picture) {
    const names = picture.regions.map((region) => region.name)
    const domains = choose()
    if (names.join() !== regions.join() || domains.join() !== chosen.join()) {
      regions = names
      chosen = domains
      build(names)
    }
    show(find('rates-empty'), !chosen.length)
    for (const [domain, tile] of tiles) {
      tile.table = past.table(domain, regions)
      tile.plot.show(tile.table)
      tell(domain, tile)
    }
  }

  return { remember, add, draw }
}
