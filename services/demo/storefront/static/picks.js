// Picks: what this visitor may like, as the mesh finds it out, in place of the shop's own choice.
import { link, load, picture, price } from './cart.js'
import { say, visitor } from './person.js'

const lang = document.documentElement.lang
const calm = matchMedia('(prefers-reduced-motion: reduce)')
let source, known, latest, shown

export const watch = list => {
  const own = [...list.children]
  const look = () => {
    const who = document.hidden ? null : visitor()
    if (who === known) return
    known = who
    source?.close()
    source = who ? new EventSource(`/picks/${encodeURIComponent(who)}?lang=${lang}`) : null
    source?.addEventListener('picks', async ({ data }) => {
      latest = JSON.parse(data)
      await change(list, own)
    })
  }
  // The visitor id is known from the first event on, of which no page is notified.
  setInterval(look, 300)
  document.addEventListener('visibilitychange', look)
  addEventListener('pagehide', () => {
    source?.close()
    known = null
  })
  tellWhatIsSeen(list)
  // What is being used with the keyboard stays as it is until the focus moves on.
  list.addEventListener('focusout', () => setTimeout(() => latest && change(list, own)))
}

const change = async (list, own) => {
  const products = (await load())?.products
  if (!products || !latest || list.contains(document.activeElement)) return
  const picked = latest.items.filter(one => products[one.product_id] && one.product_id !== list.dataset.product)
  const model = latest.model_version
  latest = null
  if (!picked.length) return
  const rows = picked.slice(0, own.length).map(({ product_id, reason }) => row(own[0], product_id, products[product_id], reason))
  const listed = new Set(rows.map(one => one.dataset.product))
  rows.push(...own.filter(one => !listed.has(one.dataset.product)).slice(0, own.length - rows.length).map(one => one.cloneNode(true)))
  const names = all => [...all].map(one => one.dataset.product).join()
  if (names(rows) !== names(list.children) && !calm.matches) {
    await list.animate({ opacity: [1, 0] }, { duration: 160, easing: 'ease-in' }).finished
    list.animate({ opacity: [0, 1] }, { duration: 320, easing: 'ease-out' })
  }
  list.replaceChildren(...rows)
  list.dataset.model = model ?? ''
  const title = document.getElementById('picks')
  title.textContent = title.dataset.live
}

const ids = list => [...list.children].map(one => one.dataset.product)

// The mesh learns from what was seen and what was clicked: each list once, when half of it is in view.
const tellWhatIsSeen = list => {
  const place = document.body.dataset.page
  let inView = false
  const tell = () => {
    const product_ids = ids(list)
    if (!inView || document.hidden || product_ids.join() === shown?.product_ids.join()) return
    shown = { list_id: crypto.getRandomValues(new Uint32Array(4)).join('-'), place, product_ids }
    say('shown', { ...shown, model_version: list.dataset.model || null })
  }
  new IntersectionObserver(([{ isIntersecting }]) => {
    inView = isIntersecting
    tell()
  }, { threshold: 0.5 }).observe(list)
  new MutationObserver(tell).observe(list, { childList: true })
  document.addEventListener('visibilitychange', tell)
  list.addEventListener('click', ({ target }) => {
    const product_id = target.closest('li')?.dataset.product
    const position = ids(list).indexOf(product_id) + 1
    if (shown && target.closest('a')) say('clicked', { list_id: shown.list_id, place, product_id, position })
  })
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
