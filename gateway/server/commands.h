// What each command of the command line does; the exit code is the process's. Main thread.
#pragma once
#include "server/exit_code.h"
#include "server/options.h"

namespace penstock::server {

ExitCode execute(const Options& options);

}  // namespace penstock::server
