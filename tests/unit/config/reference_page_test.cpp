#include "config/reference_page.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace penstock;

// PENSTOCK_WRITE_REFERENCE=1 writes it anew.
TEST_CASE("config/reference.md says what the tables say") {
  const std::string path = PENSTOCK_SOURCE_DIR "/config/reference.md";
  if (std::getenv("PENSTOCK_WRITE_REFERENCE")) std::ofstream(path) << config::reference_page();
  std::ostringstream written;
  written << std::ifstream(path).rdbuf();
  CHECK_MESSAGE(written.str() == config::reference_page(),
                "write it anew: PENSTOCK_WRITE_REFERENCE=1 test_unit -tc='config/reference.md*'");
}
