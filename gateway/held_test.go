package gateway_test

import (
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
)

// cutAccounts are what is left of the demo's files when they are cut short: Claire and the secretariat.
const (
	cutAccounts = `accounts:
  - {address: claire.durand@clinique-des-sapins.fr, kind: per, nom: Durand, prenom: Claire, titre: Dr, rpps: "10003456786", profession: "10"}
  - address: secretariat@clinique-des-sapins.fr
    kind: org
    nom: Secrétariat
    prenom: Clinique des Sapins
    description: Secrétariat - Clinique des Sapins
    responsible: claire.durand@clinique-des-sapins.fr
    structure: {finess: "310000005"}
`
	cutDelegations = "delegations:\n  - mailbox: secretariat@clinique-des-sapins.fr\n    accounts:\n" + clairesLine
)

// TestStartOnFilesCutShort: accounts that are missing when the daemon starts are not parked when they are many, so that they work
// again when the files are whole again; --force says that they are meant to be gone.
func TestStartOnFilesCutShort(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	accounts, delegations := g.Read("accounts.yaml"), g.Read("delegations.yaml")
	g.Stop()

	g.Write("accounts.yaml", cutAccounts)
	g.Write("delegations.yaml", cutDelegations)
	g = gatewaytest.Run(t, g.Dir)
	held := func() float64 { return g.Metrics()["balorg_gateway_reload_held_bool"] }
	if held() != 1 {
		t.Error("no alarm at a start without most of the accounts")
	}
	g.Write("delegations.yaml", "delegations: []\n") // on the way back the two files never fit one another
	g.Write("accounts.yaml", accounts)
	g.Write("delegations.yaml", delegations)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	if held() != 0 {
		t.Error("the alarm goes on when all accounts are back")
	}
	login(t, g, noemie)

	g.Write("delegations.yaml", cutDelegations)
	g.Write("accounts.yaml", cutAccounts)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{Force: true}, nil); err != nil {
		t.Fatal(err)
	}
	g.Write("accounts.yaml", accounts)
	g.Write("delegations.yaml", delegations)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, g).Login(string(address(noemie)), gatewaytest.Password(noemie)).Wait(); err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
		t.Errorf("an account removed by force is open again: %v", err)
	}
}

// TestStateWithBrokenFiles: a mistake in the accounts does not keep anybody from looking at the state.
func TestStateWithBrokenFiles(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	g.Stop()
	g.Write("accounts.yaml", "accounts: 7\n")
	caller, err := gateway.Connect(t.Context(), g.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	if err := caller.Call(t.Context(), gateway.OpCheckStore, nil, nil); err != nil {
		t.Errorf("check-store: %v", err)
	}
	if err := caller.Call(t.Context(), gateway.OpAuditVerify, nil, nil); err != nil {
		t.Errorf("audit verify: %v", err)
	}
	if err := caller.Call(t.Context(), gateway.OpPassword, gateway.PasswordArgs{Address: address(noemie), Password: "long enough to pass"}, nil); err == nil {
		t.Error("a password is set for an account of a broken file")
	}
}
