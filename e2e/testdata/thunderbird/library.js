// Stands before each script that a test runs in Thunderbird's main window. What is here does what a person's clicks do, by the functions
// behind them, or looks at what Thunderbird has.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const main = Services.wm.getMostRecentWindow("mail:3pane");

// until looks again and again until look answers something, for a minute. Then it tells how Thunderbird looks, and what state answers.
async function until(look, state = () => "") {
  for (const end = Date.now() + 60000; Date.now() < end; ) {
    const seen = await look();
    if (seen) {
      return seen;
    }
    await new Promise(resume => main.setTimeout(resume, 50));
  }
  const windows = [...Services.wm.getEnumerator(null)].map(w => `${w.document.documentURI} "${w.document.title}"`);
  throw new Error(`not within a minute: ${look}\n${windows.join("\n")}\n${JSON.stringify(state())}`);
}

const account = () => MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
const mailFolders = () => account().incomingServer.rootFolder.descendants;
// nameOf is a folder's name on the server, as IMAP writes it.
const nameOf = folder => folder.QueryInterface(Ci.nsIMsgImapMailFolder).onlineName;
function folderNamed(name) {
  const found = mailFolders().find(f => nameOf(f) == name);
  if (!found) {
    throw new Error(`there is no folder ${name}: ${mailFolders().map(nameOf)}`);
  }
  return found;
}
const subjects = folder => [...folder.messages].map(m => m.mime2DecodedSubject);
const find = (folder, subject) => [...folder.messages].find(m => m.mime2DecodedSubject.includes(subject));

// update asks the server for a folder's news. Nothing reliable tells when they are there: of two updates at once one is dropped, and its
// listener with it.
const update = folder => folder.updateFolder(main.msgWindow);
// fresh updates a folder now and then until look answers something.
function fresh(folder, look, state = () => subjects(folder)) {
  let looks = 0;
  return until(() => {
    if (looks++ % 40 == 0) {
      update(folder);
    }
    return look();
  }, state);
}
const messageIn = (folder, subject) => fresh(folder, () => find(folder, subject));

// discover asks for the folders again, as opening the account's tree does.
function discover() {
  account().incomingServer.performExpand(main.msgWindow);
}

const pane = () => main.document.getElementById("tabmail").currentAbout3Pane;
// show selects a folder, and the message of it that has a subject.
async function show(name, subject) {
  const folder = folderNamed(name);
  pane().displayFolder(folder.URI);
  await until(() => pane().gFolder?.URI == folder.URI && pane().gDBView);
  if (!subject) {
    return folder;
  }
  const message = await messageIn(folder, subject);
  const row = await until(() => {
    const at = pane().gDBView?.findIndexOfMsgHdr(message, true) ?? -1;
    return at >= 0 && at < 0xffffffff && { at };
  });
  pane().threadTree.selectedIndex = row.at;
  return folder;
}
// text is what the message pane shows of a message, once it does.
const text = subject => until(() => {
  const shown = pane().messageBrowser.contentWindow;
  if (!shown?.gMessage?.mime2DecodedSubject.includes(subject)) {
    return null;
  }
  const content = shown.getMessagePaneBrowser().contentDocument;
  return content?.readyState == "complete" && content.body?.innerText;
});

// The window in which a message is written.
const writing = () => Services.wm.getMostRecentWindow("msgcompose");
const written = () => until(() => {
  const w = writing();
  // The button looks as if it could be clicked before it can.
  const controller = w?.composeEditorReady && w.document.commandDispatcher.getControllerForCommand("cmd_sendNow");
  return controller && controller.isCommandEnabled("cmd_sendNow") && w;
});
async function compose(fields, identity) {
  const p = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  p.composeFields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  Object.assign(p.composeFields, fields);
  p.type = Ci.nsIMsgCompType.New;
  p.format = Ci.nsIMsgCompFormat.Default;
  p.identity = account().identities.find(i => i.email == identity);
  MailServices.compose.OpenComposeWindowWithParams(null, p);
  return until(() => writing()?.composeEditorReady && writing());
}
// discard closes it, as soon as it can be closed.
async function discard() {
  const w = writing();
  await until(() => {
    if (!w.closed) {
      w.gContentChanged = false;
      w.gMsgCompose.bodyModified = false;
      w.close();
    }
    return w.closed;
  });
}
// send does what the button does, and answers what the dialogs say that come instead of the window's end.
async function send() {
  const w = await written();
  const said = [];
  const observer = {
    observe(dialog) {
      said.push(dialog.Dialog.args.text);
      main.setTimeout(() => dialog.Dialog.ui.button0.click(), 0);
    },
  };
  Services.obs.addObserver(observer, "common-dialog-loaded");
  try {
    w.goDoCommand("cmd_sendNow");
    await until(() => w.closed || (said.length && !w.gWindowLocked), () => [said, w.gWindowLocked, w.gSendLocked, w.gSendOperationInProgress]);
  } finally {
    Services.obs.removeObserver(observer, "common-dialog-loaded");
  }
  return said;
}
// type presses the keys of a text in the window in which a message is written.
function type(text) {
  const w = writing();
  const keys = Cc["@mozilla.org/text-input-processor;1"].createInstance(Ci.nsITextInputProcessor);
  keys.beginInputTransactionForTests(w);
  for (const key of text) {
    const event = new w.KeyboardEvent("", { key });
    keys.keydown(event);
    keys.keyup(event);
  }
}
