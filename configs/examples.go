package configs

import "embed"

// Examples holds the annotated examples, balorg.yaml, accounts.yaml and delegations.yaml, and the demo's own three under demo/.
// They are the documentation of every key, and they are valid as they stand.
//
//go:embed balorg.yaml accounts.yaml delegations.yaml demo/*.yaml
var Examples embed.FS
