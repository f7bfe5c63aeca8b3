package Torture::Watcher;

# Copyright (C) the nginx gray module authors
#
# Reads a journal again and again, while others write it, and writes down each
# line with the time at which it was seen; or the revision up to which lines
# went before they were seen.  A line that has changed is written once more.

use strict;
use warnings;

use POSIX ();
use Time::HiRes ();

use Test::Gray::Process;
use Torture::Record;


sub run {
    my ($class, $t, $journal) = @_;

    my $file = $t->dir . '/records/journal';

    return $t->child(sub {
        my ($over, $last, $stamp) = (0, 0, '');
        my (%seen, $before);

        $SIG{USR1} = sub { $over = 1 };
        open my $out, '>:raw', $file or die "$file: $!\n";

        until ($over) {
            select undef, undef, undef, 0.05;

            my $now = join ' ', (Time::HiRes::stat($journal))[1, 7, 9];

            next if $now eq $stamp;
            $stamp = $now;

            my $text = slurp($journal);
            my $time = now();
            my $first;

            while ($text =~ /^(.*)\n/gm) {
                my $line = $1;
                my ($n) = $line =~ /"revision":(\d+)/;

                $n = 0 unless defined $n;
                $first = $n unless defined $first;

                next if defined $seen{$n} && $seen{$n} eq $line;

                $seen{$n} = $line;
                print $out "$time\t$line\n";
            }

            # what is not kept any more cannot change

            if (defined $first) {
                print $out "missed\t", $first - 1, "\n"
                    if $first > $last + 1;
                delete $seen{$_} for grep { $_ < $first } keys %seen;
                ($last) = sort { $b <=> $a } $last, keys %seen;
            }
        }

        close $out or die "$file: $!\n";
        POSIX::_exit(0);
    });
}


sub read {
    my ($class, $t, $checker) = @_;

    open my $in, '<:raw', $t->dir . '/records/journal' or return;

    while (my $line = <$in>) {
        chomp $line;

        my ($time, $text) = split /\t/, $line, 2;

        $time eq 'missed' ? $checker->missed($text)
                          : $checker->line($text, $time);
    }

    return;
}


1;
