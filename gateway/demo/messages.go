package demo

import "time"

// largeImage makes, in base64, a message of about 10 MB.
const largeImage = 7_800_000

// People and services that write to the clinic. All are made up.
const (
	laboratory  = "=?utf-8?q?Laboratoire_de_biologie_-_H=C3=B4pital_des_Trois_Vall=C3=A9es?= <biologie@trois-vallees.mssante.fr>"
	radiology   = "Imagerie - Centre Bellevue <imagerie@bellevue.mssante.fr>"
	doctor      = "=?utf-8?q?Dr_B=C3=A9atrice_LEF=C3=88VRE?= <beatrice.lefevre@medecin.mssante.fr>"
	pharmacy    = "Pharmacie du Parc <contact@pharmacie-du-parc.mssante.fr>"
	nurses      = "=?utf-8?q?Cabinet_infirmier_des_=C3=89rables?= <erables@infirmier.mssante.fr>"
	secretariat = "=?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?= <secretariat@sapins.mssante.fr>"
	emergency   = "Urgences - Clinique des Sapins <urgences@clinique-des-sapins.fr>"
	claire      = "Dr Claire DURAND <claire.durand@sapins.mssante.fr>"
	paul        = "M. Paul BERNARD <paul.bernard@sapins.mssante.fr>"
)

// Messages answers the sample mail, dated back from now.
func Messages(now time.Time) []Message {
	ago := func(days, hours int) time.Time {
		return now.AddDate(0, 0, -days).Add(-time.Duration(hours) * time.Hour).Truncate(time.Minute)
	}
	all := append(secretariatMail(ago), emergencyMail(ago)...)
	return append(all, Message{
		Mailbox: "claire.durand", Date: ago(1, 2), from: secretariat, to: claire, id: "d1@sapins.mssante.fr",
		subject: "Planning des consultations de la semaine prochaine",
		body:    "Bonjour Docteur,\n\nLe planning est prêt ; deux créneaux restent libres jeudi après-midi.\n\nLe secrétariat",
	})
}

func secretariatMail(ago func(days, hours int) time.Time) []Message {
	return []Message{
		{
			Mailbox: "secretariat", Flags: []string{`\Seen`}, Date: ago(6, 3), from: doctor, to: secretariat, id: "s1@medecin.mssante.fr",
			subject: "Demande de rendez-vous : consultation de cardiologie",
			body:    "Bonjour,\n\nPourriez-vous proposer un rendez-vous à ma patiente avant la fin du mois ?\n\nBien confraternellement,\nDr Lefèvre",
		},
		{
			Mailbox: "secretariat", Folder: "sent", Flags: []string{`\Seen`}, Date: ago(6, 1), from: secretariat, to: doctor,
			id: "s2@sapins.mssante.fr", answers: "s1@medecin.mssante.fr",
			subject: "Re: Demande de rendez-vous : consultation de cardiologie",
			body:    "Bonjour Docteur,\n\nNous proposons mardi à 14 h 30 avec le Dr Durand.\n\nSecrétariat - Clinique des Sapins",
		},
		{
			Mailbox: "secretariat", Flags: []string{`\Seen`, `\Answered`}, Date: ago(5, 8), from: doctor, to: secretariat,
			id: "s3@medecin.mssante.fr", answers: "s2@sapins.mssante.fr",
			subject: "Re: Demande de rendez-vous : consultation de cardiologie",
			body:    "C'est parfait, merci beaucoup. Ma patiente est prévenue.\n\nDr Lefèvre",
		},
		{
			Mailbox: "secretariat", Date: ago(3, 5), from: laboratory, to: secretariat, id: "s4@trois-vallees.mssante.fr",
			subject: "Résultats d'analyses - dossier nº 2026-11-0482",
			body:    "Bonjour,\n\nVeuillez trouver ci-joint le compte rendu d'analyses, au format structuré et en PDF.\n\nLe laboratoire",
			attachments: []attachment{
				{"compte-rendu.pdf", "application/pdf", pdf("Laboratoire de biologie", "Compte rendu d'analyses (données fictives)", "Hémoglobine : 13,4 g/dL")},
				{"IHE_XDM.ZIP", "application/zip", xdm("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><title>Compte rendu de biologie</title></ClinicalDocument>\n")},
			},
		},
		{
			Mailbox: "secretariat", Flags: []string{`\Flagged`}, Date: ago(2, 6), from: radiology, to: secretariat, cc: claire, id: "s5@bellevue.mssante.fr",
			subject: "Imagerie par résonance magnétique : série complète",
			body:    "Bonjour,\n\nLa série complète est jointe ; elle pèse une dizaine de mégaoctets.\n\nCentre Bellevue",
			attachments: []attachment{
				{"serie-irm.dcm", "application/dicom", image(largeImage)},
			},
		},
		{
			Mailbox: "secretariat", Date: ago(1, 4), from: pharmacy, to: secretariat, id: "s6@pharmacie-du-parc.mssante.fr",
			subject: "Ordonnance à préciser : posologie illisible",
			body:    "Bonjour,\n\nLa posologie de l'ordonnance du 19 n'est pas lisible. Pouvez-vous nous rappeler ?\n\nPharmacie du Parc",
			attachments: []attachment{
				{"ordonnance.pdf", "application/pdf", pdf("Ordonnance (données fictives)", "Amoxicilline 1 g", "posologie à préciser")},
			},
		},
		{
			Mailbox: "secretariat", Date: ago(0, 2), from: nurses, to: secretariat, id: "s7@infirmier.mssante.fr",
			subject: "Sortie d'hospitalisation : soins à domicile",
			body:    "Bonjour,\n\nNous confirmons la prise en charge à domicile dès demain matin, pansements et surveillance.\n\nCabinet des Érables",
		},
	}
}

func emergencyMail(ago func(days, hours int) time.Time) []Message {
	return []Message{
		{
			Mailbox: "urgences", Flags: []string{`\Seen`}, Date: ago(2, 9), from: doctor, to: emergency, id: "u1@medecin.mssante.fr",
			subject: "Adressage : douleur thoracique",
			body:    "Chers confrères,\n\nJe vous adresse un patient de 58 ans pour douleur thoracique. Courrier joint.\n\nDr Lefèvre",
			attachments: []attachment{
				{"courrier.pdf", "application/pdf", pdf("Courrier d'adressage (données fictives)", "Douleur thoracique depuis 6 heures")},
			},
		},
		{
			Mailbox: "urgences", Date: ago(1, 11), from: laboratory, to: emergency, id: "u2@trois-vallees.mssante.fr",
			subject: "Résultat urgent : troponine",
			body:    "Résultat transmis par téléphone à 3 h 10 et confirmé par ce message.\n\nLe biologiste de garde",
			attachments: []attachment{
				{"IHE_XDM.ZIP", "application/zip", xdm("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><title>Troponine</title></ClinicalDocument>\n")},
			},
		},
		{
			Mailbox: "urgences", Flags: []string{`\Seen`}, Date: ago(1, 1), from: paul, to: emergency, id: "u3@sapins.mssante.fr",
			subject: "Relève de nuit",
			body:    "Bonsoir à tous,\n\nQuatre patients en salle, deux en attente de lit. Le brancard 3 est à réparer.\n\nPaul",
		},
		{
			Mailbox: "urgences", Folder: "trash", Flags: []string{`\Seen`}, Date: ago(5, 0), from: radiology, to: emergency, id: "u4@bellevue.mssante.fr",
			subject: "Fermeture exceptionnelle du scanner mercredi matin",
			body:    "Le scanner sera arrêté mercredi de 7 h à 9 h pour maintenance.\n\nCentre Bellevue",
		},
	}
}
