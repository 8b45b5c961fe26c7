// Shop: brings a page to life: consent, the cart's count, what the page has to tell, and its forms.
import { add, changed, count, empty, fill, hold, load, restore, resume, showCart, tell } from './cart.js'
import { checkOut, followOrder } from './checkout.js'
import { account, allowMail, choice, choose, decided, keep, kept, say, signIn, signOut } from './person.js'
import { watch } from './picks.js'
import { offerNotifications } from './notifications.js'

const all = (what, within = document) => [...within.querySelectorAll(what)]
const one = what => document.querySelector(what)
const { dataset } = document.body

// The shopper is asked once; the footer asks again. Nothing waits for the answer.
const ask = one('[data-ask]'), again = one('[data-privacy]')
const asking = open => {
  ask.hidden = !open
  document.documentElement.classList.toggle('asking', open)
  document.documentElement.style.setProperty('--ask', open ? `${ask.offsetHeight}px` : '0px')
}
asking(!choice())
again.hidden = false
again.addEventListener('click', () => {
  asking(true)
  ask.querySelector('button').focus()
})
const settle = () => {
  asking(!choice())
  tell()
  showAccount()
}
for (const button of all('[data-answer]')) button.addEventListener('click', () => {
  choose(button.dataset.answer)
  settle()
  one('#content').focus({ preventScroll: true })
})
decided(settle)

const showCount = () => all('[data-count]').forEach(badge => {
  badge.textContent = count()
  badge.hidden = !count()
})
showCount()
changed(showCount)

// What this page has to tell by itself.
if (dataset.viewed) say('view', {
  product_id: dataset.viewed,
  category: dataset.category,
  brand: dataset.brand,
  price: { amount: +dataset.price, currency: dataset.currency },
})
if (dataset.searched) say('search', { query: dataset.searched, results: +dataset.results })
if (dataset.own) history.replaceState(null, '', dataset.own)
if (dataset.offered) hold(JSON.parse(dataset.offered))
const ready = dataset.restored ? restore(JSON.parse(dataset.restored)) : resume()
const till = one('[data-buy]'), order = one('[data-follow]')
if (till) ready.then(() => checkOut(till))
if (order) followOrder(order)

const cart = one('[data-cart]')
if (cart) showCart(cart)

// On the page of the cart a card would lie over the total and lead to where one is: its code is applied instead.
if (document.querySelector('section.cart')) document.addEventListener('cartmesh:offer', event => {
  const { offer_id, cart_id, card } = event.detail, link = new URL(card.url, location), seen = 'haru-linde:offer'
  if (link.origin !== location.origin || !link.pathname.startsWith('/cart/')) return
  event.preventDefault()
  if (kept(seen) === offer_id) return
  keep(seen, offer_id)
  say('shown', { offer_id, cart_id })
  if (card.coupon) location.replace(link)
})

const form = one('[data-add]')
if (form) load()
form?.addEventListener('submit', submitted => {
  submitted.preventDefault()
  add(form.dataset.add, form.elements.quantity.valueAsNumber)
  const added = one('[data-added]')
  added.firstElementChild.textContent = added.dataset.added
  added.lastElementChild.hidden = false
})

// The account.
const signed = one('[data-signed-in]'), signing = one('[data-sign-in]')
function showAccount() {
  if (!signing) return
  const who = account()
  signing.hidden = !!who
  signed.hidden = !who
  one('[data-refused]').hidden = choice() !== 'no'
  if (!who) return
  const words = one('[data-signed-in] [data-words]'), allowed = who.allowed && choice() !== 'no'
  words.textContent = fill(words.dataset.words, { email: who.email })
  one('[data-allowed]').hidden = !allowed
  one('[data-forbidden]').hidden = allowed
}
one('[data-allow-mail]')?.addEventListener('click', () => {
  allowMail()
  settle()
  signed.focus()
})
showAccount()
offerNotifications(one('[data-push]'))
signing?.addEventListener('submit', submitted => {
  submitted.preventDefault()
  const { email, allowed } = signing.elements
  signIn({ email: email.value.trim(), allowed: allowed.checked })
  showAccount()
  signed.focus()
})
one('[data-sign-out]')?.addEventListener('click', () => {
  signOut()
  empty()
  signing.reset()
  showAccount()
  signing.elements.email.focus()
})

// A list of choices closes like others do.
for (const details of all('details.choose')) {
  addEventListener('click', ({ target }) => { if (!details.contains(target)) details.open = false })
  details.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return
    details.open = false
    details.firstElementChild.focus()
  })
}

const picks = one('[data-picks]')
if (picks) watch(picks)
