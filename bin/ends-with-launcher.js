// Loaded before the program when another Node has launched it: it ends as by SIGTERM when that one is gone, however it went.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
