"""What the Linux kernel offers to a process that wants to be able to do less, by system calls that Python has no names for.

    syscalls      the calls themselves, and their numbers
    landlock      which files a process may use
    seccomp       which system calls it may make
    namespaces    a network of its own, with nothing in it
    capabilities  what root may do beyond others

Nothing here is about media. Every function says whether the kernel has it; nothing is assumed from a version number.
"""
