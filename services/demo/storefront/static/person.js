// Person: what the shopper allows, who they say they are, and what is sent of it.
const CHOICE = 'haru-linde:consent', ACCOUNT = 'haru-linde:account'
const memory = new Map()

// Where storage is full or forbidden, what is kept lasts as long as the page.
export const kept = name => {
  try { return JSON.parse(localStorage.getItem(name)) ?? memory.get(name) ?? null } catch { return memory.get(name) ?? null }
}
export const keep = (name, value) => {
  memory.set(name, value)
  try {
    value === null ? localStorage.removeItem(name) : localStorage.setItem(name, JSON.stringify(value))
  } catch {}
}

// Works before cartmesh.js is there, and where it is blocked.
window.cartmesh ||= []
export const say = (...call) => window.cartmesh.push(call)

const signals = () => navigator.globalPrivacyControl === true || navigator.doNotTrack === '1'
export const choice = () => kept(CHOICE) ?? (signals() ? 'no' : null)
export const account = () => kept(ACCOUNT)
export const visitor = () => choice() === 'yes' ? window.cartmesh.visitor : null

export const choose = answer => {
  keep(CHOICE, answer)
  say('consent', answer === 'yes')
  // A sign-in from before consent is sent now.
  if (answer === 'yes' && account()) introduce(account())
}

const introduce = ({ email, allowed }) => {
  if (choice() !== 'yes') return
  say('identify', { email })
  say('consent', 'email', allowed)
}
export const signIn = who => {
  keep(ACCOUNT, who)
  introduce(who)
}
// Allowed after it was refused, by the visitor, for e-mail alone, or by the link in a mail. The shop's server says so
// where it can: a page's word does not lift what that link refused.
export const allowMail = async () => {
  const who = { ...account(), allowed: true }
  keep(ACCOUNT, who)
  keep(CHOICE, 'yes')
  say('consent', true)
  say('identify', { email: who.email })
  if (!await allowedByServer(window.cartmesh.visitor)) say('consent', 'email', true)
}
const allowedByServer = async id => {
  if (!id) return false
  const asked = { method: 'POST', keepalive: true, headers: { 'Content-Type': 'application/json' } }
  const answer = await fetch('/account/mail', { ...asked, body: JSON.stringify({ visitor_id: id }) }).catch(() => null)
  return !!answer?.ok
}
export const signOut = () => {
  keep(ACCOUNT, null)
  say('forget')
}

// Chosen in another tab, or on a later page from which the shopper came back.
export const decided = listener => {
  const apply = () => {
    if (choice()) say('consent', choice() === 'yes')
    listener()
  }
  addEventListener('storage', ({ key }) => key === CHOICE && apply())
  addEventListener('pageshow', ({ persisted }) => persisted && apply())
}

// A choice that was made on an earlier page holds on this one.
if (choice()) say('consent', choice() === 'yes')
