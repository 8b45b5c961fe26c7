// Offers: decisions as they are made, newest first. They wait while someone reads one.

import { find, keep, say, set, show } from './element.js'
import { fill, row } from './offer.js'
import { count, outcome, plural } from './words.js'

const PACE = 700
const FEW = 3
const still = matchMedia('(prefers-reduced-motion: reduce)')

export function offers() {
  const host = find('offers')
  const button = find('offers-pause')
  let shown = null
  let newest = []
  let painted = -Infinity
  let paused = false
  let chosen = 'all'
  let due = 0
  // The offer that a link to this page names (`?offer=...`): it is opened once it is there.
  let wanted = new URLSearchParams(location.search).get('offer')

  function pause(now) {
    paused = now
    set(button, 'aria-pressed', String(now))
    if (!now) paint()
    tell()
  }

  button.addEventListener('click', () => {
    if (paused) for (const one of host.querySelectorAll('details[open]')) one.open = false
    pause(!paused)
  })
  // What someone has opened must not move away beneath them.
  host.addEventListener('toggle', (event) => event.target.open && !paused && pause(true), true)
  find('offers-filter').addEventListener('change', (event) => {
    chosen = event.target.value
    set(host, 'data-only', chosen === 'all' ? null : chosen)
    tell()
  })

  // A quiet stream is shown at once, a rush at a pace that eyes can follow.
  function take(picture) {
    newest = picture.offers
    if (paused) {
      refresh()
      tell()
      return
    }
    const wait = painted + PACE - performance.now()
    if (wait <= 0) paint()
    else due ||= setTimeout(paint, wait)
  }

  function paint() {
    clearTimeout(due)
    due = 0
    if (paused && shown) return
    painted = performance.now()
    const first = shown === null
    shown = newest
    const fresh = keep(host, shown, (offer) => offer.id, row, fill)
    if (wanted) seek()
    if (!first && fresh.length <= FEW && !still.matches) fresh.forEach(arrive)
    tell()
  }

  function seek() {
    const index = shown.findIndex((offer) => offer.id === wanted)
    const missing = find('offers-wanted')
    show(missing, index < 0)
    say(missing, `The decision on offer ${wanted} is not among the newest of the last hour.`)
    if (index < 0) return
    wanted = null
    const details = host.children[index].querySelector('details')
    details.open = true
    details.scrollIntoView({ block: 'start' })
    details.querySelector('summary').focus({ preventScroll: true })
  }

  // While paused, what becomes of the offers shown is still kept up to date.
  function refresh() {
    if (!shown) return
    const known = new Map(newest.map((offer) => [offer.id, offer]))
    shown = shown.map((offer) => known.get(offer.id) ?? offer)
    keep(host, shown, (offer) => offer.id, row, fill)
  }

  function tell() {
    const all = shown ?? []
    const seen = new Set(all.map((offer) => offer.id))
    const more = paused ? newest.filter((offer) => !seen.has(offer.id)).length : 0
    say(find('offers-pause-word'), paused ? (more ? `Resume (${count(more)} new)` : 'Resume') : 'Pause')
    for (const name of ['all', 'approved', 'held', 'dropped']) {
      say(find(`offers-${name}`), count(name === 'all' ? all.length : all.filter((offer) => offer.outcome === name).length))
    }
    const none = !all.some((offer) => chosen === 'all' || offer.outcome === chosen)
    show(find('offers-empty'), none)
    if (!none) return
    say(find('offers-empty'), all.length
      ? `Of the newest ${plural(all.length, 'offer', 'offers')} none was ${outcome(chosen).toLowerCase()}.`
      : 'No offer has been decided yet. Leave a cart in the shop and watch this space.')
  }

  return take
}

function arrive(node) {
  node.animate(
    [{ opacity: 0, transform: 'translateY(-6px)', background: 'var(--arrival)' }, { opacity: 1, transform: 'none', background: 'var(--arrival)', offset: 0.2 }, { background: 'transparent' }],
    { duration: 1400, easing: 'ease-out' },
  )
}
