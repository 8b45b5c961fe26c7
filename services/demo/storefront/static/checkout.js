// Checkout: places the order by the shop's own server, and follows what becomes of it.
import { begin, count, empty, load, random, read, remember, restore, sums, tell } from './cart.js'
import { account, choice, visitor } from './person.js'

const lang = document.documentElement.lang
const { currency } = document.body.dataset

// What the script still has to send of the cart is stored before the order, which ends the cart and stops its offers.
// A script that is blocked, or a gateway that does not answer, keeps nobody from ordering.
const sent = async () => {
  window.cartmesh.flush?.()
  const busy = () => choice() === 'yes' && (!window.cartmesh.version || window.cartmesh.waiting > 0)
  for (let tries = 0; tries < 60 && busy(); tries++) await new Promise(go => setTimeout(go, 50))
}

// The key is kept with the cart until it changes: a second click, or a reload after a lost answer, is the same order.
const contents = form => {
  const cart = read(), { card, ...delivery } = Object.fromEntries(new FormData(form))
  const key = cart.key || random(), who = visitor()
  remember({ ...cart, key })
  return {
    key, card, lines: cart.lines, total: { amount: sums(cart).total, currency },
    delivery: Object.fromEntries(Object.entries(delivery).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text)),
    ...(who && { visitor_id: who }),
    ...(cart.cart_id && (choice() === 'yes' || cart.coupon) && { cart_id: cart.cart_id }),
    ...(cart.coupon && cart.percent && { coupon: cart.coupon, ...(cart.about && { about: cart.about }) }),
  }
}

const place = async form => {
  if (!await load()) return { problem: 'later' }
  await tell()
  await sent()
  const asked = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(contents(form)) }
  const answer = await fetch('/checkout', asked).catch(() => null)
  if (answer?.ok) return answer.json()
  return { problem: answer && [400, 422].includes(answer.status) ? 'changed' : 'later' }
}

// The form of the page `checkout`.
export const checkOut = form => {
  const button = form.querySelector('[data-place]'), alert = form.querySelector('[role=alert]')
  if (account()) form.elements.email.value ||= account().email
  if (count()) begin()
  form.addEventListener('submit', async submitted => {
    submitted.preventDefault()
    if (button.disabled || !count()) return
    button.disabled = true
    alert.textContent = ''
    const { order_id, problem } = await place(form)
    if (order_id) {
      empty()
      location.assign(`/${lang}/orders/${order_id}`)
      return
    }
    alert.textContent = alert.dataset[problem]
    button.disabled = false
  })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) button.disabled = false })
}

const written = at => new Date(at).toLocaleTimeString(lang, { hour: '2-digit', minute: '2-digit', second: '2-digit' })

const show = (section, order) => {
  const part = name => section.querySelector(`[data-${name}]`)
  section.dataset.status = order.status
  part('heading').textContent = order.heading
  part('sentence').textContent = order.sentence
  part('number').textContent = order.number
  part('total').textContent = order.total
  part('history').replaceChildren(...order.history.map(({ at, text }) => {
    const row = document.createElement('li'), time = document.createElement('time')
    time.dateTime = at
    time.textContent = written(at)
    row.append(time, ' ', text)
    return row
  }))
  section.querySelectorAll('[data-known]').forEach(one => { one.hidden = false })
  part('again').hidden = !Object.keys(order.lines).length
  part('again').onclick = async () => {
    await restore({ lines: order.lines })
    location.assign(`/${lang}/cart`)
  }
}

// The page of an order: shown as it is, and after each change.
export const followOrder = section => {
  let source
  const open = () => {
    source = new EventSource(`/orders/${section.dataset.follow}/live?lang=${lang}`)
    source.addEventListener('order', ({ data }) => show(section, JSON.parse(data)))
  }
  open()
  addEventListener('pagehide', () => source.close())
  addEventListener('pageshow', ({ persisted }) => persisted && open())
}
