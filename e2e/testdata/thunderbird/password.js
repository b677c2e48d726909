// Goes on from where the settings are found: the password, and what comes behind it, to the end.
const [secret] = args;
const hub = selector => main.document.querySelector("account-hub-container").modal.querySelector(selector);
const forward = () => hub("account-hub-footer #forward:not([disabled])");
forward().click();
const input = await until(() => hub("#emailPasswordSubview:not([hidden]) #password"));
input.value = secret;
input.dispatchEvent(new main.Event("input", { bubbles: true }));
(await until(forward)).click();
// Version 140 looks for calendars and address books first, 153 does not where there are none.
await until(() => {
  const fault = hub("#emailPasswordSubview:not([hidden])")?.shadowRoot?.querySelector(".account-hub-notification[type=error], .error");
  if (fault) {
    throw new Error(fault.innerText);
  }
  if (hub("#emailSyncAccountsSubview:not([hidden])")) {
    forward()?.click();
  }
  return hub("#emailAddedSuccessSubview:not([hidden])");
});
(await until(forward)).click();
await until(() => !main.document.querySelector("account-hub-container").modal.open);
const { incomingServer: incoming, defaultIdentity: identity } = account();
const outgoing = MailServices.outgoingServer.getServerByKey(identity.smtpServerKey).QueryInterface(Ci.nsISmtpServer);
return {
  Incoming: [incoming.type, incoming.hostname ?? incoming.hostName, incoming.port, incoming.socketType, incoming.authMethod, incoming.username],
  Outgoing: [outgoing.type, outgoing.hostname, outgoing.port, outgoing.socketType, outgoing.authMethod, outgoing.username],
  Identity: [identity.fullName, identity.email],
};
