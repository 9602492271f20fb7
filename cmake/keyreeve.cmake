# What every folder's CMakeLists.txt shares: compiler settings, and the functions that declare a
# library, a program, or a folder of unit tests. Sources are found by glob, so that a new file needs
# no line here.
include(CheckIPOSupported)
find_package(PkgConfig REQUIRED)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(KR_TESTS "build the unit tests" OFF)
option(KR_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
option(KR_WERROR "warnings are errors" OFF)
set(KR_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

add_compile_definitions(_GNU_SOURCE KR_VERSION="${PROJECT_VERSION}")
include_directories(${CMAKE_SOURCE_DIR})

set(KR_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wcast-qual -Wswitch-enum -Wformat=2 -Wundef -Wvla -Wwrite-strings)
if(KR_WERROR)
    list(APPEND KR_WARNINGS -Werror)
endif()

if(KR_SANITIZE)
    add_compile_options(-fsanitize=${KR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${KR_SANITIZE})
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
    add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE)
    add_link_options(-pie -Wl,-z,relro,-z,now)
    check_ipo_supported(RESULT KR_HAS_LTO OUTPUT KR_LTO_WHY LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${KR_HAS_LTO})
endif()

# kr_packages(uv libuv …): imports Debian's libraries as targets PkgConfig::<NAME>.
macro(kr_package name module)
    if(NOT TARGET PkgConfig::${name})
        pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    endif()
endmacro()

# kr_library(kr_base LINK …): this folder's *.c as one static library.
function(kr_library name)
    cmake_parse_arguments(ARG "" "" "LINK;SUBDIRS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS *.c)
    foreach(dir ${ARG_SUBDIRS})
        file(GLOB more CONFIGURE_DEPENDS ${dir}/*.c)
        list(APPEND sources ${more})
    endforeach()
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    add_library(${name} STATIC ${sources})
    target_compile_options(${name} PRIVATE ${KR_WARNINGS})
    target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# kr_embed(kr_node api/openapi.yaml openapi_yaml): the file's bytes as openapi_yaml_data and _size.
function(kr_embed target file name)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
    add_custom_command(OUTPUT ${source}
        COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUT=${source}
                -DNAME=${name} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
        DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
    target_sources(${target} PRIVATE ${source})
endfunction()

# kr_program(keyreeved LINK … [SOURCES …]): main.c of this folder as a program in bin/.
function(kr_program name)
    cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
    if(NOT ARG_SOURCES)
        set(ARG_SOURCES main.c)
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_compile_options(${name} PRIVATE ${KR_WARNINGS})
    target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

# kr_unit_tests(core/base kr_base): each tests/unit/core/base/test_*.c as one ctest, linked with
# that layer's library alone (and so only with the layers below it).
function(kr_unit_tests folder)
    kr_package(CMOCKA cmocka)
    file(GLOB tests CONFIGURE_DEPENDS ${folder}/test_*.c)
    string(REPLACE "/" "_" stem ${folder})
    foreach(source ${tests})
        get_filename_component(test ${source} NAME_WE)
        string(REPLACE "test_" "" test ${test})
        set(target unit_${stem}_${test})
        add_executable(${target} ${source})
        target_compile_options(${target} PRIVATE ${KR_WARNINGS})
        target_link_libraries(${target} PRIVATE ${ARGN} PkgConfig::CMOCKA)
        add_test(NAME unit/${folder}/${test} COMMAND ${target})
        set_tests_properties(unit/${folder}/${test} PROPERTIES LABELS unit TIMEOUT 300
            WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    endforeach()
endfunction()
