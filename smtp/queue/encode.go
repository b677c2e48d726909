package queue

import (
	"encoding/json"

	"balorg/mail"
	"balorg/smtp/wire"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/fields"
)

// The rows of messages and items are fields in the order in which they stand here. Those that were JSON once are read as that.

// The first octets of rows.
const (
	messageRow = 1
	itemRow    = 2
	jsonRow    = '{'
)

// What a message says with one bit.
const (
	flagUTF8 = 1 << iota
	flagHeld
)

func (m Message) encode() []byte {
	row := append(make([]byte, 0, 256), messageRow)
	row = fields.AppendText(row, m.ID)
	row = fields.AppendUint(row, uint64(m.Body))
	row = fields.AppendUint(row, uint64(m.Size))
	row = fields.AppendText(row, m.From.Address)
	row = fields.AppendUint(row, uint64(m.From.Size))
	row = fields.AppendText(row, m.From.Body)
	row = fields.AppendText(row, m.From.Return)
	row = fields.AppendText(row, m.From.EnvID)
	for _, p := range []audit.Party{m.Person, m.Mailbox} {
		row = fields.AppendText(fields.AppendText(row, p.ID), p.Address)
	}
	row = fields.AppendText(row, m.Origin)
	row = fields.AppendTime(row, m.Accepted)
	row = fields.AppendUint(row, uint64(m.Waiting))
	flags := uint64(0)
	if m.From.UTF8 {
		flags |= flagUTF8
	}
	if m.Held {
		flags |= flagHeld
	}
	return fields.AppendUint(row, flags)
}

func decodeMessage(row []byte) (m Message, err error) {
	if len(row) == 0 || row[0] != messageRow {
		return m, decodeJSON(row, &m)
	}
	r := fields.NewReader(row)
	m.ID = ID(r.Text())
	m.Body, m.Size = body.ID(r.Uint()), int64(r.Uint())
	m.From = wire.Sender{Address: mail.Address(r.Text()), Size: int64(r.Uint()), Body: wire.Body(r.Text()), Return: wire.Return(r.Text()), EnvID: r.Text()}
	for _, p := range []*audit.Party{&m.Person, &m.Mailbox} {
		p.ID, p.Address = mail.AccountID(r.Text()), mail.Address(r.Text())
	}
	m.Origin = Origin(r.Text())
	m.Accepted = r.Time()
	m.Waiting = int(r.Uint())
	flags := r.Uint()
	m.From.UTF8, m.Held = flags&flagUTF8 != 0, flags&flagHeld != 0
	return m, r.End()
}

func (it Item) encode() []byte {
	row := append(make([]byte, 0, 192), itemRow)
	row = fields.AppendText(row, it.Message)
	row = fields.AppendUint(row, uint64(it.N))
	row = fields.AppendText(row, it.Route)
	row = fields.AppendText(row, it.Recipient.Address)
	row = fields.AppendUint(row, uint64(it.Recipient.Notify))
	row = fields.AppendText(row, it.Recipient.Original)
	row = fields.AppendText(row, it.Account)
	row = fields.AppendText(row, it.Arg)
	row = fields.AppendText(row, it.State)
	row = fields.AppendUint(row, uint64(it.Attempts))
	row = fields.AppendTime(fields.AppendTime(row, it.Next), it.Tried)
	row = fields.AppendText(row, it.Reply)
	row = fields.AppendText(row, it.Peer)
	row = fields.AppendText(row, it.TLS)
	return fields.AppendBool(row, it.Delayed)
}

func decodeItem(row []byte) (it Item, err error) {
	if len(row) == 0 || row[0] != itemRow {
		return it, decodeJSON(row, &it)
	}
	r := fields.NewReader(row)
	it.Message, it.N, it.Route = ID(r.Text()), uint16(r.Uint()), Route(r.Text())
	it.Recipient = wire.Recipient{Address: mail.Address(r.Text()), Notify: wire.Notify(r.Uint()), Original: r.Text()}
	it.Account, it.Arg, it.State = mail.AccountID(r.Text()), r.Text(), State(r.Text())
	it.Attempts = int(r.Uint())
	it.Next, it.Tried = r.Time(), r.Time()
	it.Reply, it.Peer, it.TLS = r.Text(), r.Text(), r.Text()
	it.Delayed = r.Bool()
	return it, r.End()
}

func decodeJSON(row []byte, v any) error {
	if len(row) == 0 || row[0] != jsonRow {
		return fields.ErrDamaged
	}
	return json.Unmarshal(row, v)
}
