// Picks: what this visitor may like, as the mesh finds it out, in place of the shop's own choice.
import { link, load, picture, price } from './cart.js'
import { visitor } from './person.js'

const lang = document.documentElement.lang
const calm = matchMedia('(prefers-reduced-motion: reduce)')
let source, known, latest

export const watch = list => {
  const own = [...list.children]
  const look = () => {
    const who = document.hidden ? null : visitor()
    if (who === known) return
    known = who
    source?.close()
    source = who ? new EventSource(`/picks/${encodeURIComponent(who)}?lang=${lang}`) : null
    source?.addEventListener('picks', async ({ data }) => {
      latest = JSON.parse(data).items
      await change(list, own)
    })
  }
  // Who the visitor is becomes known with their first word to the mesh, of which no page is told.
  setInterval(look, 300)
  document.addEventListener('visibilitychange', look)
  addEventListener('pagehide', () => {
    source?.close()
    known = null
  })
  // What is being used with the keyboard stays as it is until the focus moves on.
  list.addEventListener('focusout', () => setTimeout(() => latest && change(list, own)))
}

const change = async (list, own) => {
  const products = (await load())?.products
  if (!products || !latest || list.contains(document.activeElement)) return
  const shown = latest.filter(one => products[one.product_id] && one.product_id !== list.dataset.product)
  latest = null
  if (!shown.length) return
  const rows = shown.slice(0, own.length).map(({ product_id, reason }) => row(own[0], product_id, products[product_id], reason))
  const listed = new Set(rows.map(one => one.dataset.product))
  rows.push(...own.filter(one => !listed.has(one.dataset.product)).slice(0, own.length - rows.length).map(one => one.cloneNode(true)))
  const names = all => [...all].map(one => one.dataset.product).join()
  if (names(rows) !== names(list.children) && !calm.matches) {
    await list.animate({ opacity: [1, 0] }, { duration: 160, easing: 'ease-in' }).finished
    list.animate({ opacity: [0, 1] }, { duration: 320, easing: 'ease-out' })
  }
  list.replaceChildren(...rows)
  const title = document.getElementById('picks')
  title.textContent = title.dataset.live
}

const row = (pattern, id, { name, price: amount }, reason) => {
  const made = pattern.cloneNode(true)
  made.dataset.product = id
  made.querySelector('a').href = link(id)
  made.querySelector('img').src = picture(id)
  made.querySelector('.name').textContent = name
  made.querySelector('.price').textContent = price(amount)
  made.querySelector('.why').textContent = reason
  return made
}
