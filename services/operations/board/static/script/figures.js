// Figures: eight numbers that say at a glance whether all is well.

import { find, say, set } from './element.js'
import { lagging, waiting } from './lags.js'
import { state } from './links.js'
import { silent, total } from './map.js'
import { counted } from './services.js'
import { age, count, money, plural, rate } from './words.js'

function tell(name, value, more, mood = null) {
  const node = find(`figure-${name}`)
  say(node.querySelector('.value'), value)
  say(node.querySelector('.more'), more)
  set(node, 'data-mood', mood)
}

export function figures(picture) {
  const { regions, links, funnel } = picture
  const reporting = regions.filter((region) => !silent(region))
  const flow = reporting.reduce((sum, region) => sum + total(region), 0)
  tell('events', reporting.length ? `${rate(flow)}/s` : '–', `in ${plural(reporting.length, 'region', 'regions')}`)

  // What a silent region reported last of its servers may no longer be true.
  const [up, all] = [reporting.reduce((sum, one) => sum + one.nodes_up, 0), regions.reduce((sum, one) => sum + one.nodes, 0)]
  const quiet = regions.length - reporting.length
  tell('servers', all ? `${up}/${all}` : '–', quiet ? `${plural(quiet, 'region', 'regions')} not reporting` : all ? 'servers up' : 'not reported yet', up < all || quiet ? 'bad' : null)

  const worst = links.reduce((most, link) => (!most || (link.staleness ?? -1) > (most.staleness ?? -1) ? link : most), null)
  const mood = worst ? { fresh: null, late: 'late', cut: 'bad' }[state(worst.staleness)] : null
  const run = counted(picture.services)
  const which = picture.missing.length ? picture.missing.join(', ') : run.unknown ? `${count(run.unknown)} not known` : 'each runs'
  tell('services', run.all ? `${run.running}/${run.all}` : '–', run.all ? which : 'none has reported yet', picture.missing.length ? 'bad' : null)
  tell('restarts', count(run.restarts), run.most, run.restarts ? 'late' : null)

  tell('links', worst ? age(worst.staleness) : '–', worst ? (worst.staleness === null ? `${worst.to} in ${worst.from}: not known` : `${worst.to}, read in ${worst.from}`) : 'one region alone', mood)

  const most = lagging(regions).reduce((most, lag) => (waiting(lag) > waiting(most) ? lag : most), { pending: 0, ack_pending: 0 })
  tell('lag', count(waiting(most)), waiting(most) ? `${most.durable}, ${most.region}` : 'nothing waits', waiting(most) > 1000 ? 'late' : null)

  const dead = regions.reduce((sum, region) => sum + region.dead_letters, 0)
  tell('dead', count(dead), dead ? regions.filter((one) => one.dead_letters).map((one) => `${one.name} ${count(one.dead_letters)}`).join(', ') : 'every message was handled', dead ? 'bad' : null)

  const [offered, recovered] = ['offered', 'recovered'].map((name) => funnel.find((stage) => stage.stage === name))
  const purse = [...(recovered?.money ?? [])].filter((one) => one.amount).sort((a, b) => b.amount - a.amount)
  const carts = recovered ? `${count(recovered.count)} of ${plural(offered?.count ?? 0, 'cart', 'carts')}` : ''
  tell('recovered', purse.length ? money(purse[0]) : count(recovered?.count ?? 0), [...purse.slice(1, 3).map(money), carts].join(' · '), purse.length ? 'good' : null)
}
