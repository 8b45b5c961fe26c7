// Funnel: from a view to a recovered cart, each step measured against the one before it.

import { find, reach, say, show } from './element.js'
import { count, money, plural, share } from './words.js'

export function funnel() {
  const steps = new Map([...find('funnel').children].map((node) => [node.dataset.stage, node]))

  return ({ funnel: stages, simulated }) => {
    let before = null
    for (const stage of stages) {
      const node = steps.get(stage.stage)
      if (!node) continue
      const part = before === null ? (stage.count ? 1 : 0) : before ? stage.count / before : 0
      say(node.querySelector('.count'), count(stage.count))
      const rate = node.querySelector('.share')
      if (rate) say(rate, before ? share(part) : '–')
      reach(node.querySelector('.bar'), part)
      const purse = stage.money.filter((one) => one.amount)
      say(node.querySelector('.money'), purse.map(money).join(' · '))
      before = stage.count
    }
    say(find('funnel-views'), simulated ? `product views, without ${plural(simulated, 'simulated one', 'simulated ones')}` : 'product views')
    show(find('funnel-empty'), stages.every((stage) => !stage.count))
  }
}
