// A folder that lives as long as its test.
#pragma once
#include <string>

namespace e2e {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const;  // its path
  std::string read(const std::string& name) const;

 private:
  std::string path_;
};

}  // namespace e2e
