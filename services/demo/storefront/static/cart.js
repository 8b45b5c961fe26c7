// Cart: kept in this browser for all its tabs, shown, and sent whole to the mesh after each change.
import { choice, keep, kept, say } from './person.js'

const CART = 'haru-linde:cart', MOST = 99
const { catalogue, currency } = document.body.dataset
const lang = document.documentElement.lang
const listeners = []
let goods

// Undefined where it cannot be had, as while the page closes.
export const load = async () => goods ||= await fetch(catalogue).then(answer => answer.json()).catch(() => undefined)
export const read = () => ({ lines: {}, ...kept(CART) })
export const count = () => Object.values(read().lines).reduce((sum, one) => sum + one, 0)
export const changed = listener => listeners.push(listener)
const notice = () => listeners.forEach(listener => listener())
export const fill = (words, values) => words.replace(/{(\w+)}/g, (_, name) => values[name])
export const price = minor =>
  new Intl.NumberFormat(lang, { style: 'currency', currency }).format(minor / goods.units)
export const link = id => `/${lang}/products/${id}`
export const picture = id => `/pictures/${id}.svg`

export const remember = cart => keep(CART, cart)
// The page names the cart, so that the order can say which cart it ends. Another cart is another checkout: no `key`.
// 128 bits in hexadecimal.
export const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map(one => one.toString(16).padStart(2, '0')).join('')
const write = ({ key, ...cart }) => {
  keep(CART, { cart_id: random(), ...cart, unsent: true })
  notice()
  return tell()
}
export const put = (id, quantity) => {
  const cart = read()
  cart.lines[id] = Math.max(0, Math.min(MOST, quantity))
  if (!cart.lines[id]) delete cart.lines[id]
  return write(cart)
}
export const add = (id, quantity) => put(id, (read().lines[id] || 0) + quantity)
export const empty = () => {
  keep(CART, null)
  notice()
}

// What an offer's link led to: its lines, its coupon, and the name under which the mesh knows the cart.
export const restore = ({ cart_id, lines, coupon, percent }) => {
  const mine = read()
  const offer = percent && { coupon, percent, about: undefined }
  return write({ ...mine, lines: { ...mine.lines, ...lines }, ...(cart_id && { cart_id }), ...offer })
}

// The coupon of an offer that is about no cart, for whatever is put into this one.
export const hold = offered => {
  const { key, ...mine } = read()
  keep(CART, { ...mine, ...offered })
  notice()
}

const detailed = lines => Object.entries(lines).flatMap(([id, quantity]) => {
  const { name, price: amount, category, brand } = goods.products[id] || {}
  const image = `${location.origin}/pictures/${id}.png`, url = location.origin + link(id)
  return name ? { product_id: id, quantity, price: { amount, currency }, name, category, brand, image, url } : []
})
const named = ({ cart_id }) => cart_id ? { cart_id } : {}

// A page that closes before it could send leaves that to the next; nothing is sent before it is allowed.
export const tell = async () => {
  if (!read().unsent || choice() !== 'yes' || !await load()) return
  const cart = read()
  say('cart', { lines: detailed(cart.lines), ...named(cart) })
  keep(CART, { ...cart, unsent: false, currency })
}
export const resume = () => {
  const cart = read()
  if (count() && cart.currency && cart.currency !== currency) keep(CART, { ...cart, unsent: true })
  return tell()
}

// A discount is taken off each price, as the shop's orders take it off.
export const sums = ({ lines, percent = 0 }) => {
  const summed = of => Object.entries(lines).reduce((sum, [id, many]) => sum + of(goods.products[id]?.price || 0) * many, 0)
  const subtotal = summed(each => each), total = summed(each => Math.floor((each * (100 - percent) + 50) / 100))
  return { subtotal, off: subtotal - total, total }
}

const element = (template, id, quantity) => {
  const { name, price: each } = goods.products[id]
  const row = template.content.firstElementChild.cloneNode(true)
  row.dataset.product = id
  for (const anchor of row.querySelectorAll('a')) anchor.href = link(id)
  row.querySelector('img').src = picture(id)
  row.querySelector('a').tabIndex = -1
  row.querySelector('a').ariaHidden = true
  row.querySelector('a.name').textContent = name
  const one = row.querySelector('[data-each]')
  one.textContent = fill(one.dataset.each, { price: price(each) })
  for (const labelled of row.querySelectorAll('[data-label]')) labelled.ariaLabel = fill(labelled.dataset.label, { name })
  row.querySelector('input')?.addEventListener('change', ({ target }) =>
    put(id, Math.max(1, Math.round(target.valueAsNumber) || read().lines[id])))
  row.querySelector('button')?.addEventListener('click', () => {
    const next = row.nextElementSibling || row.previousElementSibling
    put(id, 0)
    ;(next?.querySelector('button') || document.getElementById('content')).focus()
  })
  return row
}

const show = section => {
  const cart = read(), list = section.querySelector('[data-lines]'), template = section.querySelector('[data-line]')
  const ids = Object.keys(cart.lines).filter(id => goods.products[id])
  // Rows stay the same elements, so that a change leaves the focus where it is.
  for (const row of [...list.children]) if (!ids.includes(row.dataset.product)) row.remove()
  for (const id of ids) {
    let row = [...list.children].find(one => one.dataset.product === id)
    if (!row) list.append(row = element(template, id))
    const quantity = cart.lines[id], input = row.querySelector('input'), many = row.querySelector('[data-many]')
    if (input) input.value = quantity
    if (many) many.textContent = `× ${quantity}`
    row.querySelector('.price').textContent = price(goods.products[id].price * quantity)
  }
  section.querySelector('[data-empty]').hidden = ids.length > 0
  section.querySelectorAll('[data-filled], [data-sums]').forEach(one => { one.hidden = !ids.length })
  const { subtotal, off, total } = sums(cart)
  const set = (name, value, shown = true) => {
    const row = section.querySelector(`[data-row=${name}]`)
    row.hidden = !shown
    row.querySelector('dd').textContent = value
    return row
  }
  set('subtotal', price(subtotal), off > 0)
  const row = set('discount', '−' + price(off), off > 0)
  row.querySelector('dt').textContent = fill(row.dataset.words, { coupon: cart.coupon, percent: cart.percent })
  set('total', price(total))
}

// The page `cart` or `checkout`.
export const showCart = async section => {
  if (!await load()) return
  show(section)
  changed(() => show(section))
}

export const begin = () => say('checkout', named(read()))

addEventListener('storage', ({ key }) => key === CART && notice())
addEventListener('pageshow', ({ persisted }) => persisted && notice())
