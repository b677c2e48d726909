package main

import (
	"context"
	"fmt"
	"net"

	"balorg/gateway"
	"balorg/gateway/doctor"
)

func doctorCommand() command {
	return command{
		name: "doctor", short: "look at everything the platform depends on, and say what to do", json: true,
		long: `Looks at the files, the listeners, certificates, DNS records, each mail store, the smarthosts, the age of the whitelist, the identity provider, the clock, the free
space and who may read what. A line for each; below what is not well, what to do about it. Nothing is changed. Exit code 1 when something is broken.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			ill := false
			var failed error
			gateway.Diagnose(ctx, configPath(f), net.DefaultResolver, func(d doctor.Finding) {
				ill = ill || d.Level == doctor.Broken
				if f.json {
					if err := printJSON(e.out, d); err != nil {
						failed = err
					}
					return
				}
				say(e.out, "%-8s%s %s: %s\n", d.Level, d.Check, d.Subject, d.What)
				if d.Level != doctor.OK && d.Do != "" {
					say(e.out, "        → %s\n", d.Do)
				}
			})
			if failed == nil && ill {
				failed = errNo
			}
			return failed
		},
	}
}

func dnsCommand() command {
	return command{
		name: "dns", short: "the DNS records to publish", json: true,
		long: `Prints, as lines of a zone file, the records by which mail programs and address books find the services (SRV), configure themselves, and other operators
deliver (MX), for each domain of the accounts. balorg doctor compares them with what is published.`,
		run: func(_ context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			loaded, problems := gateway.Load(configPath(f))
			if err := problems.Err(); err != nil {
				return printProblems(e, f, err)
			}
			site, err := loaded.Site()
			if err != nil {
				return err
			}
			for _, r := range site.Records() {
				if f.json {
					if err := printJSON(e.out, r); err != nil {
						return err
					}
					continue
				}
				if _, err := fmt.Fprintln(e.out, r); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
