package body

import "balorg/store"

// Reader reads one body.
type Reader = store.Value
