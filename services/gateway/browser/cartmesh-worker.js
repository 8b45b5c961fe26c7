// The service worker of a shop: shows the notifications that the mesh sends, and opens what they lead to.
self.addEventListener('push', event => {
  let shown
  try { shown = event.data.json() } catch { return }
  const { title, body, tag, lang = '', url } = shown
  event.waitUntil(self.registration.showNotification(title, { body, tag, lang: lang.replace('_', '-'), data: { url } }))
})
self.addEventListener('notificationclick', event => {
  event.notification.close()
  const { url } = event.notification.data || {}
  if (/^https?:/.test(url)) event.waitUntil(self.clients.openWindow(url))
})
