package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"balorg/policy"
	"balorg/store/audit"
)

// unreadTime bounds how long the first page waits for mail servers to say what is unread.
const unreadTime = 3 * time.Second

// account is a mailbox on the first page.
type account struct {
	policy.Access
	Unread int
	Known  bool // how many are unread
}

// accountsBody is what the first page shows.
type accountsBody struct {
	Accounts []account
	Notified bool // there is an address that notifications go to
	Delegate bool // any mailbox is delegated
}

// home shows what the person may open, and takes what they choose there.
func (p *Portal) home(c *call) {
	done := ""
	if c.r.URL.Query().Has("saved") {
		done = c.L("Vos choix sont enregistrés.", "Your choices are saved.")
	}
	c.accounts(http.StatusOK, done, "")
}

func (c *call) accounts(status int, done, fault string) {
	body := accountsBody{Accounts: c.unread(c.snap.Mailboxes(c.who.ID)), Notified: c.who.Notify != ""}
	body.Delegate = len(body.Accounts) > 1
	c.show(status, "accounts", view{Title: c.L("Mes comptes", "My accounts"), Done: done, Fault: fault, Body: body})
}

// unread asks all mail stores at once.
func (c *call) unread(all []policy.Access) []account {
	ctx, cancel := context.WithTimeout(c.r.Context(), unreadTime)
	defer cancel()
	accounts := make([]account, len(all))
	var asking sync.WaitGroup
	for i, access := range all {
		accounts[i].Access = access
		asking.Go(func() { accounts[i].Unread, accounts[i].Known = c.p.opt.Unread(ctx, access.Mailbox) })
	}
	asking.Wait()
	return accounts
}

// Letters is how many unread messages are told.
func (a account) Letters() string {
	if !a.Known {
		return "–"
	}
	return fmt.Sprint(a.Unread)
}

// RightsIn says in words what the person may do.
func (a account) RightsIn(english bool) string {
	v := view{English: english}
	if a.Own {
		return v.L("votre boîte personnelle", "your own mailbox")
	}
	words := a.Rights.Preset()
	switch a.Rights {
	case policy.PresetRead:
		words = v.L("lecture seule", "read only")
	case policy.PresetWrite:
		words = v.L("lecture et classement", "read and file")
	case policy.PresetManage:
		words = v.L("gestion complète", "full management")
	}
	switch a.Send {
	case policy.SendAs:
		return words + v.L(", écrit au nom du service", ", writes as the service")
	case policy.SendOnBehalf:
		return words + v.L(", écrit de la part du service, votre nom visible", ", writes on behalf of the service, your name shown")
	case policy.SendNo:
	}
	return words + v.L(", sans envoi", ", no sending")
}

// choose takes the choices of the first page.
func (p *Portal) choose(c *call) {
	choices, ok := c.choices()
	if !ok {
		c.accounts(http.StatusUnprocessableEntity, "", c.L("Ce compte ne vous est pas délégué, ou plus.", "This account is not delegated to you, or no longer."))
		return
	}
	if len(choices) > 0 {
		if err := p.keep(c, choices...); err != nil {
			c.broken("keeping choices", err)
			return
		}
	}
	c.redirect("/?saved")
}

// choices are those of the form that differ from what holds.
func (c *call) choices() (changed []policy.Choice, ok bool) {
	box, ok := c.account("default")
	if !ok || box.ID == "" {
		return nil, false
	}
	choice, ok := c.snap.ChooseDefault(c.who.ID, box.ID)
	if !ok {
		return nil, false
	}
	if c.snap.Default(c.who.ID).Mailbox.ID != box.ID {
		changed = append(changed, choice)
	}
	wanted := make(map[string]bool)
	for _, address := range c.r.PostForm["notify"] {
		wanted[strings.ToLower(address)] = true
	}
	for _, access := range c.snap.Mailboxes(c.who.ID) {
		on := wanted[string(access.Mailbox.Address)]
		if access.Own || access.Notify == on || c.who.Notify == "" {
			continue
		}
		if choice, ok := c.snap.ChooseNotify(c.who.ID, access.Mailbox.ID, on); ok {
			changed = append(changed, choice)
		}
	}
	return changed, true
}

// redList takes the wish to be on the red list, or no longer.
func (p *Portal) redList(c *call) {
	choice, ok := c.snap.ChooseRedList(c.who.ID, c.r.PostFormValue("hidden") == "yes")
	if !ok {
		c.fail(http.StatusBadRequest)
		return
	}
	if err := p.keep(c, choice); err != nil {
		c.broken("keeping a choice", err)
		return
	}
	c.redirect("/?saved")
}

// keep puts choices into effect and writes down who made them.
func (p *Portal) keep(c *call, choices ...policy.Choice) error {
	if err := p.opt.Choose(c.r.Context(), choices...); err != nil {
		return err
	}
	var failed error
	for _, choice := range choices {
		record := audit.Record{Action: audit.Administer, Request: "choose " + string(choice.Kind), Answer: "OK"}
		if choice.Kind != policy.ChoiceDefault {
			record.Request += map[bool]string{true: " on", false: " off"}[choice.On]
		}
		if box, ok := c.snap.ByID(choice.Mailbox); ok {
			record.Mailbox = party(box)
		}
		failed = errors.Join(failed, c.trace(record))
	}
	return failed
}
