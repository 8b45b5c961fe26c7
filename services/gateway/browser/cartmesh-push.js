// Web push: asks the shopper whether this browser may show notifications, and tells the mesh where they go to.
//
// A shop imports it from its gateway and has a file of its own at its root, `/cartmesh-worker.js`, with one line:
// importScripts('https://GATEWAY/v1/cartmesh-worker.js')

const decoded = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), sign => sign.charCodeAt(0))
const say = (...call) => window.cartmesh.push(call)

/** Whether this browser can show notifications of a page that is closed. */
export const possible = () => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window

/** Whether it shows this shop's. */
export const subscribed = async () => {
  const registration = possible() && Notification.permission === 'granted' && await navigator.serviceWorker.getRegistration()
  return !!(registration && await registration.pushManager.getSubscription())
}

/** Ask for it, after a click. `key` is the shop's public key; what `proof` says is stored with the consent. */
export const subscribe = async ({ key, worker = '/cartmesh-worker.js', proof = {} }) => {
  if (!possible() || await Notification.requestPermission() !== 'granted') return false
  await navigator.serviceWorker.register(worker)
  const { pushManager } = await navigator.serviceWorker.ready
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: decoded(key) })
  const { endpoint, keys } = subscription.toJSON()
  say('subscribed', { endpoint, p256dh: keys.p256dh, auth: keys.auth })
  say('consent', 'push', true, proof)
  return true
}

/** Show none any more. */
export const unsubscribe = async () => {
  say('consent', 'push', false)
  const registration = possible() && await navigator.serviceWorker.getRegistration()
  const subscription = registration && await registration.pushManager.getSubscription()
  if (subscription) await subscription.unsubscribe()
}
