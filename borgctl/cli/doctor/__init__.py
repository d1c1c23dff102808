"""doctor: what can the holder of a key do on this machine, and will a pull work?

The rooms: `keyline` and `keyfiles` read authorized keys, `sshd` asks sshd for its settings and `places` where they are
written; `table` decides what is open, purely; `doors`, `commands`, `login_environment`, `logins`, `programs`, `state`
and `machine` say what they found as `findings`; `examine` is the story. Nothing is written, and no secret is read.
"""
