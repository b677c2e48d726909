package gateway_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/gateway/sheet"
	"balorg/policy"
	"balorg/policy/amend"
)

// people is a table of n persons; of those that bad selects, the number is mistyped.
func people(n int, bad func(int) bool) [][]string {
	rows := [][]string{{"Mail", "Statut", "Type de bal", "Nom", "Prénom", "Profession", "RPPS"}}
	for i := range n {
		digits := fmt.Sprintf("20%08d", i)
		key := policy.LuhnKey(digits)
		if bad(i) {
			key = '0' + (key-'0'+1)%10
		}
		rows = append(rows, []string{
			fmt.Sprintf("p%d@clinique-des-sapins.fr", i), "Actif", "PER", fmt.Sprintf("Nom%d", i), "Jean", "Médecin", digits + string(key),
		})
	}
	return rows
}

// importLimit is the bar for 5 000 rows.
const importLimit = slower * 10 * time.Second

func TestImportManyRows(t *testing.T) {
	for _, format := range []sheet.Format{sheet.CSV, sheet.XLSX} {
		for name, bad := range map[string]func(int) bool{
			"good": func(int) bool { return false },
			"half": func(i int) bool { return i%2 == 0 },
		} {
			t.Run(string(format)+" "+name, func(t *testing.T) {
				config := filepath.Join(gatewaytest.Folder(t, gatewaytest.Files(t)), "balorg.yaml")
				var table bytes.Buffer
				if err := sheet.Write(&table, format, people(5000, bad)); err != nil {
					t.Fatal(err)
				}
				before, err := os.ReadFile(filepath.Join(filepath.Dir(config), "accounts.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				reported, badRows := 0, 0
				start := time.Now()
				done, err := gateway.Import(config, &table, format, gateway.ImportOptions{SkipBad: true, Report: func(r amend.Row) error {
					reported++
					if r.Outcome == amend.Bad {
						badRows++
						if len(r.Faults) != 1 {
							t.Errorf("row %d: %q", r.Number, r.Faults)
						}
					}
					return nil
				}})
				took := time.Since(start)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%v", took)
				want := 5000
				if name == "half" {
					want = 2500
				}
				if reported != 5000 || badRows != 5000-want || done.Added != want || done.Bad != badRows {
					t.Errorf("%d reported, %d bad, %+v", reported, badRows, done)
				}
				if took > importLimit {
					t.Errorf("took %v", took)
				}
				after, err := os.ReadFile(filepath.Join(filepath.Dir(config), "accounts.yaml"))
				if err != nil || !bytes.HasPrefix(after, before) {
					t.Errorf("what stood there has changed: %v", err)
				}
				loaded, problems := gateway.Load(config)
				if err := problems.Err(); err != nil || len(loaded.Roster.Accounts) != 9+want {
					t.Errorf("%d accounts, %v", len(loaded.Roster.Accounts), err)
				}
			})
		}
	}
}
