// Blocks: they are dragged by their handles, within the list and into columns. The buttons do the same by keyboard.

/* global Sortable */

const OUTSIDE_ONLY = ['header', 'footer', 'shared']

function mayGo(to, _, dragged) {
  if (!to.el.closest('.column')) return true
  return !dragged.classList.contains('many') && !OUTSIDE_ONLY.includes(dragged.dataset.type)
}

function arm() {
  for (const tools of document.querySelectorAll('#blocks .tools')) {
    const handle = document.createElement('span')
    handle.className = 'handle'
    handle.textContent = '⠿'
    handle.title = 'Drag'
    handle.setAttribute('aria-hidden', 'true')
    tools.prepend(handle)
  }
  for (const list of document.querySelectorAll('#blocks .sorted')) {
    Sortable.create(list, {
      group: { name: 'blocks', put: mayGo },
      handle: '.handle',
      draggable: '.block',
      ghostClass: 'dragged',
      forceFallback: true,
      fallbackOnBody: true,
      emptyInsertThreshold: 16,
      onEnd: ({ from, to, oldIndex, newIndex }) => {
        if (from !== to || oldIndex !== newIndex) document.getElementById('renumber').click()
      },
    })
  }
}

arm()
document.body.addEventListener('htmx:afterSwap', ({ detail }) => { if (detail.target.id === 'blocks') arm() })
