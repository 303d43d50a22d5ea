#include <cstdio>

#include "server/commands.h"
#include "server/options.h"

int main(int count, char** words) {
  using namespace penstock::server;
  auto options = parse_options({words + 1, words + count});
  if (!options) {
    std::fprintf(stderr, "penstock: %s\n\n%s", options.error().c_str(), std::string(usage()).c_str());
    return static_cast<int>(ExitCode::usage);
  }
  return static_cast<int>(execute(*options));
}
