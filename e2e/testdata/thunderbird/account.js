// Adds an account as a person does: name, address, "Continue"; and stays where the settings are found.
const [name, address] = args;
const hub = selector => main.document.querySelector("account-hub-container")?.modal?.querySelector(selector);
const fill = (input, value) => {
  input.value = value;
  input.dispatchEvent(new main.Event("input", { bubbles: true }));
};
await main.openAccountHub("MAIL");
fill(await until(() => hub("#emailAutoConfigSubview #realName")), name);
fill(hub("#emailAutoConfigSubview #email"), address);
(await until(() => hub("account-hub-footer #forward:not([disabled])"))).click();
const found = await until(() => hub("#emailConfigFoundSubview:not([hidden]) #configFound"));
return until(() => found.innerText.includes("SSL/TLS") && found.innerText); // words come after the form
