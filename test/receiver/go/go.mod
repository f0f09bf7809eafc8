module walhook.example/verify

go 1.21
