// Code view: the body of a template in an editor that knows its variables. On a phone it stays a plain text field.
// It is loaded when the code is first in sight: who writes texts, or looks at the mail, does not wait for it.

const SMALL = '(max-width: 700px), (pointer: coarse)'
const DARK = matchMedia('(prefers-color-scheme: dark)')
const field = document.getElementById('text-body')

function load(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script')
    Object.assign(script, { src: source, onload: resolve, onerror: reject })
    document.head.append(script)
  })
}

function style(source) {
  const sheet = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: source })
  const loaded = new Promise((resolve, reject) => Object.assign(sheet, { onload: resolve, onerror: reject }))
  document.head.append(sheet)
  return loaded
}

// Inside of braces the name is enough; elsewhere all that is to be written is.
function completer(names) {
  return {
    identifierRegexps: [/[\w.]/],
    getCompletions(editor, session, at, prefix, done) {
      const before = session.getLine(at.row).slice(0, at.column)
      const inside = Math.max(before.lastIndexOf('{{'), before.lastIndexOf('{%')) > Math.max(before.lastIndexOf('}}'), before.lastIndexOf('%}'))
      done(null, names.map(({ name, words, insert }) => ({ caption: name, value: inside || !insert ? name : insert, meta: words.slice(0, 40), score: 1000 })))
    },
  }
}

// The text field stays what the form sends: the editor writes into it, and it tells the page as if it was typed there.
function follow(editor) {
  let writing = false
  editor.session.on('change', () => {
    if (writing) return
    field.value = editor.getValue()
    field.dispatchEvent(new Event('input', { bubbles: true }))
  })
  field.code = {
    element: editor.container,
    insert(text) { editor.focus(); editor.insert(text) },
    select(line) {
      editor.focus()
      editor.gotoLine(line, 0)
      editor.selection.selectLineEnd()
      editor.container.scrollIntoView({ block: 'center' })
    },
  }
  field.form.addEventListener('reset', () => {
    writing = true
    editor.setValue(field.defaultValue, -1)
    writing = false
  })
}

async function show() {
  const { script, tools, style: sheet, names } = field.dataset
  await Promise.all([load(script), style(sheet)])
  await load(tools)
  const { ace } = window
  ace.config.set('useStrictCSP', true)
  ace.config.set('basePath', script.slice(0, script.lastIndexOf('/')))
  const place = document.createElement('div')
  place.className = 'code-view'
  field.after(place)
  const editor = ace.edit(place, {
    value: field.value,
    mode: 'ace/mode/nunjucks',
    theme: DARK.matches ? 'ace/theme/github_dark' : 'ace/theme/github_light_default',
    readOnly: field.readOnly,
    useWorker: false,
    useSoftTabs: true,
    tabSize: 2,
    wrap: false,
    minLines: 8,
    maxLines: 32,
    showFoldWidgets: false,
    displayIndentGuides: false,
    showPrintMargin: false,
    highlightActiveLine: false,
    enableBasicAutocompletion: true,
    enableLiveAutocompletion: true,
    enableKeyboardAccessibility: true,
    textInputAriaLabel: 'Body',
  })
  editor.completers = [completer(JSON.parse(names))]
  for (const one of ['showSettingsMenu', 'gotoline', 'openCommandPallete', 'openCommandPalette']) editor.commands.removeCommand(one)
  follow(editor)
  DARK.addEventListener('change', () => editor.setTheme(DARK.matches ? 'ace/theme/github_dark' : 'ace/theme/github_light_default'))
  if (document.activeElement === field) {
    const before = field.value.slice(0, field.selectionStart).split('\n')
    editor.focus()
    editor.moveCursorTo(before.length - 1, before.at(-1).length)
  }
  field.hidden = true
  document.querySelector('label[for="text-body"]').addEventListener('click', () => editor.focus())
}

const sight = new IntersectionObserver((seen) => {
  if (!seen.some((one) => one.isIntersecting)) return
  sight.disconnect()
  show().catch(() => { field.hidden = false })
})
if (field && !matchMedia(SMALL).matches) sight.observe(field)
