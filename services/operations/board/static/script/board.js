// Board: each state of the stream is given to the panels; text at once, charts once a second.

import { share } from './colours.js'
import { dead } from './dead.js'
import { find, say, set, show } from './element.js'
import { figures } from './figures.js'
import { funnel } from './funnel.js'
import { lags } from './lags.js'
import { map } from './map.js'
import { offers } from './offers.js'
import { rates } from './rates.js'
import { services } from './services.js'
import { listen } from './stream.js'
import { age, clock } from './words.js'

const REDRAWN = 1_000
const STALE = 3_000

const past = rates()
const panels = [figures, map(), services(), lags(), funnel(), offers(), dead()]
let picture = null
let painting = 0
let received = 0
let drawn = -Infinity
let connection = 'connecting'

function paint() {
  painting = 0
  for (const panel of panels) panel(picture)
  say(find('region'), picture.region)
  say(find('updated'), clock(picture.at))
  set(find('updated'), 'datetime', picture.at)
  show(find('unknown'), picture.unknown.length > 0)
  say(find('unknown-words'), picture.unknown.join(' · '))
  show(find('missing'), picture.missing.length > 0)
  say(find('missing-words'), picture.missing.join(' · '))
  if (performance.now() - drawn < REDRAWN) return
  drawn = performance.now()
  past.draw(picture)
}

function state(latest) {
  picture = latest
  received = performance.now()
  share(latest.regions.map((region) => region.name))
  past.add(latest)
  painting ||= requestAnimationFrame(paint)
  tell()
}

// Only a change is announced; the seconds that pass are shown, not read out.
function connected({ state: now, seconds }) {
  const words = { live: 'Live', connecting: 'Connecting', lost: seconds ? `Reconnecting in ${seconds} s` : 'Reconnecting' }[now]
  say(find('connection'), words)
  if (now === connection) return
  connection = now
  set(document.body, 'data-connection', now)
  say(find('announced'), { live: 'The board is live.', connecting: '', lost: 'The board lost its connection and tries again.' }[now])
  tell()
}

function tell() {
  const silence = performance.now() - received
  const stale = picture !== null && silence > STALE
  set(document.body, 'data-stale', stale ? '' : null)
  say(find('ago'), stale ? `${age(silence / 1000)} ago` : '')
  const title = `${stale ? 'Stale · ' : ''}Live · Cartmesh${picture ? ` ${picture.region}` : ''}`
  if (document.title !== title) document.title = title
}

setInterval(() => document.hidden || tell(), 1000)
listen(document.body.dataset.live, { state, history: past.remember, connection: connected })
