// Notifications: whether this browser shows those of the shop, asked on the account's page.
export const offerNotifications = async place => {
  if (!place) return
  const one = what => place.querySelector(`[data-push-${what}]`), failed = one('failed')
  const push = await import(place.dataset.script).catch(() => null)
  if (!push?.possible()) return
  const show = async () => {
    const on = await push.subscribed()
    one('on').hidden = one('stop').hidden = !on
    one('off').hidden = one('allow').hidden = on
    place.hidden = false
  }
  one('allow').addEventListener('click', async () => {
    const proof = { where: location.pathname, wording: `${one('off').textContent} ${one('allow').textContent}` }
    const done = await push.subscribe({ key: place.dataset.key, proof }).catch(() => false)
    failed.textContent = done ? '' : failed.dataset.words
    await show()
  })
  one('stop').addEventListener('click', async () => {
    await push.unsubscribe().catch(() => {})
    await show()
  })
  await show()
}
