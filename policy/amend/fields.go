package amend

import (
	"strconv"

	"balorg/configs"
	"balorg/policy"
)

// FieldsOf are the texts a file would have for an account, without those that say what holds anyway.
func FieldsOf(a *policy.Account) Fields {
	f := Fields{
		"address": string(a.Address), "kind": string(a.Kind), "nom": a.Nom, "prenom": a.Prenom, "titre": a.Titre, "description": a.Description,
		"service": a.Service, "rpps": a.RPPS, "adeli": a.ADELI, "profession": a.Profession, "mssante": string(a.MSSante),
		"responsible": string(a.Responsible), "finess": a.Structure.FINESS, "siret": a.Structure.SIRET, "siren": a.Structure.SIREN,
		"notify": string(a.Notify), "mailstore": a.Mailstore, "language": a.Language,
	}
	if a.RedList {
		f["red_list"] = "true"
	}
	if a.Admin {
		f["admin"] = "true"
	}
	if a.State != policy.Active {
		f["state"] = string(a.State)
	}
	if a.Sender != policy.SenderNominative {
		f["sender"] = string(a.Sender)
	}
	if a.Quota != 0 {
		f["quota"] = configs.Size(a.Quota).String()
	}
	for key, text := range f {
		if text == "" {
			delete(f, key)
		}
	}
	return f
}

// GrantOf is a delegation as a file would have it.
func GrantOf(d policy.Delegation) Grant {
	g := Grant{Person: d.Account, Rights: d.Rights.Preset(), Send: string(d.Send)}
	if d.Default {
		g.Default = strconv.FormatBool(true)
	}
	if d.Notify {
		g.Notify = strconv.FormatBool(true)
	}
	return g
}
