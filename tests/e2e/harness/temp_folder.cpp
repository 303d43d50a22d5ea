#include "e2e/harness/temp_folder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "e2e/harness/waiting.h"

namespace e2e {

TempFolder::TempFolder() {
  path_ = (std::filesystem::temp_directory_path() / "penstock-e2e-XXXXXX").string();
  if (!::mkdtemp(path_.data())) throw Failure("no temporary folder");
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, const std::string& text) const {
  std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
  std::ofstream(file(name), std::ios::binary | std::ios::trunc) << text;
  return file(name);
}

std::string TempFolder::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(file(name), std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace e2e
