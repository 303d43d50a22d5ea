// One libFuzzer program for all targets:
//   penstock_fuzz TARGET [libFuzzer's options] FOLDERS...   fuzzes
//   penstock_fuzz --list                                    names of the targets
//   penstock_fuzz --unpack TARGET CORPORA FOLDER            the tree's seeds as libFuzzer wants them
//   penstock_fuzz --pack FOLDER FILE                        a corpus for the tree: one input a line, sorted
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/targets.h"

using namespace penstock::fuzz;

namespace {

const Target* target = nullptr;
// libFuzzer starts itself anew to merge and to minimise, without the first word.
constexpr const char* inherited = "PENSTOCK_FUZZ_TARGET";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int unpack(const std::string& name, const std::string& corpora, const std::filesystem::path& folder) {
  const Target* chosen = find_target(name);
  if (!chosen) return 2;
  std::filesystem::create_directories(folder);
  size_t count = 0;
  for (const std::string& seed : seeds(*chosen, corpora))
    std::ofstream(folder / ("seed-" + std::to_string(count++)), std::ios::binary) << seed;
  return 0;
}

int pack(const char* folder, const char* file) {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    lines.push_back(escaped(read_file(entry.path())));
  std::ranges::sort(lines);
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  std::ofstream out(file);
  for (const std::string& line : lines) out << line << '\n';
  return 0;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  std::vector<std::string> words(*argv + 1, *argv + *argc);
  if (words.size() == 1 && words[0] == "--list") {
    for (const Target& each : targets()) std::printf("%s\n", std::string(each.name).c_str());
    std::exit(0);
  }
  if (words.size() == 4 && words[0] == "--unpack") std::exit(unpack(words[1], words[2], words[3]));
  if (words.size() == 3 && words[0] == "--pack") std::exit(pack(words[1].c_str(), words[2].c_str()));
  target = words.empty() ? nullptr : find_target(words[0]);
  if (target) {
    std::copy(*argv + 2, *argv + *argc, *argv + 1);
    --*argc;
    ::setenv(inherited, words[0].c_str(), 1);
  } else if (const char* name = std::getenv(inherited)) {
    target = find_target(name);
  }
  if (!target) {
    std::fprintf(stderr, "penstock_fuzz: which target? --list names them\n");
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  target->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
