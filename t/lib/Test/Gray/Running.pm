package Test::Gray::Running;

# Copyright (C) the nginx gray module authors
#
# A clock that stands still while the machine does: while a process that wants
# to run all the time does not get to.  What takes longer than it may, and by
# this clock does not, was not nginx's fault.
#
#     my $running = Test::Gray::Running->new($t);
#     my $since = $running->now;
#     ...
#     cmp_ok($running->now - $since, '<', 1, 'within a second');
#
#     $running->stood;            # seconds in which it stood still so far
#
#     $running->in_time($seconds, $code, $again);
#
# calls the code, and returns what that does, once the machine has not stood
# still for so long meanwhile, or after some tries; $again is called between
# them.

use strict;
use warnings;

use Time::HiRes ();

use Test::Gray::Process;

my $pause = 0.01;
my $still = 0.05;


sub new {
    my ($class, $t) = @_;

    my $self = bless { file => $t->write_file('running', pack 'Q d', 0, 0) },
                     $class;

    $t->child(sub { $self->run });
    $self->beat;

    return $self;
}


# how often it has run, and how long it did not

sub run {
    my ($self) = @_;

    my ($beats, $stood) = (0, 0);
    my $last = Time::HiRes::time();

    open my $fh, '+<:raw', $self->{file} or die "$self->{file}: $!\n";

    while (1) {
        Time::HiRes::sleep($pause);

        my $now = Time::HiRes::time();

        $stood += $now - $last - $pause if $now - $last > $still;
        $last = $now;

        sysseek $fh, 0, 0;
        syswrite $fh, pack 'Q d', ++$beats, $stood;
    }
}


sub read {
    my ($self) = @_;

    return unpack 'Q d', slurp($self->{file});
}


# what it stood still for until now is known once it has run twice

sub beat {
    my ($self) = @_;

    my ($beats) = $self->read;

    wait_until(sub { ($self->read)[0] >= $beats + 2 })
        or die "nobody runs\n";

    return;
}


sub stood {
    my ($self) = @_;

    $self->beat;

    return ($self->read)[1];
}


sub in_time {
    my ($self, $seconds, $code, $again) = @_;

    for (my $left = 5; ; $left--) {
        my $stood = $self->stood;
        my $result = $code->();

        return $result if $self->stood - $stood < $seconds || !$left;

        $again->();
    }
}


sub now {
    my ($self) = @_;

    $self->beat;

    return Time::HiRes::time() - ($self->read)[1];
}


1;
