# Writes a C file that holds a file's bytes: cmake -DIN=… -DOUT=… -DNAME=… -P embed.cmake
# defines `const unsigned char NAME_data[]` and `const size_t NAME_size`.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REPEAT "0x[0-9a-f][0-9a-f]," 16 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>
extern const unsigned char ${NAME}_data[];
extern const size_t ${NAME}_size;
const unsigned char ${NAME}_data[] = {
${bytes}
};
const size_t ${NAME}_size = ${size};
")
